# A ban is in the set before the network is up, with the time that it has left; and it is the boot unit that puts it there.
{ common }:
{
  name = "pyruse-reboot";

  nodes.machine =
    { lib, pkgs, ... }:
    {
      imports = [ common ];
      services.pyruse.enable = true;
      networking.nftables.enable = true;

      # The daemon puts the bans back, too. So it is not started at boot here.
      systemd.services.pyruse.wantedBy = lib.mkForce [ ];

      # What the sets have when the network may come up, and when that was.
      systemd.services.look = {
        wantedBy = [ "multi-user.target" ];
        after = [ "network-pre.target" ];
        before = [ "network.target" ];
        unitConfig.DefaultDependencies = false;
        serviceConfig.Type = "oneshot";
        path = [ pkgs.nftables ];
        script = ''
          # A set that is missing is an empty file, which the test script cannot read.
          for set in ban4 ban6; do
            nft -j list set inet pyruse $set > /run/$set || true
          done
          date +%s > /run/looked
        '';
      };
    };

  testScript = ''
    import json

    bans = {"ban4": "203.0.113.7", "ban6": "2001:db8::7"}

    def end(listed, name, now):
        """When the ban in this set ends, in seconds since 1970."""
        (found,) = [o["set"] for o in json.loads(listed)["nftables"] if "set" in o]
        left = {e["elem"]["val"]: e["elem"]["expires"] for e in found["elem"]}
        return int(now) + left[bans[name]]

    machine.wait_for_unit("multi-user.target")
    machine.succeed("systemctl start pyruse")
    ends: dict[str, int] = {}
    for name, address in bans.items():
        machine.succeed(f"pyruse bans add 'inet pyruse {name}' {address} --for 1h")
        machine.wait_until_succeeds(f"nft list set inet pyruse {name} | grep -qF {address}", timeout=30)
        ends[name] = end(machine.succeed(f"nft -j list set inet pyruse {name}"), name, machine.succeed("date +%s"))

    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.wait_for_unit("pyruse-boot@action_nftBan.service")
    machine.wait_until_succeeds("test -e /run/looked", timeout=30)
    machine.succeed("systemctl show -P ActiveEnterTimestampMonotonic pyruse | grep -qx 0")

    for name in bans:
        with subtest(f"{name}, before the network"):
            then = end(machine.succeed(f"cat /run/{name}"), name, machine.succeed("cat /run/looked"))
            # Less than any reboot takes: a ban that begins anew would end later.
            assert abs(then - ends[name]) <= 3, f"the ban ended at {ends[name]}, and now at {then}"

    def reached(unit):
        return int(machine.succeed(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}"))

    assert reached("nftables.service") < reached("pyruse-boot@action_nftBan.service")
    assert reached("pyruse-boot@action_nftBan.service") <= reached("network-pre.target")

    with subtest("the daemon leaves them as they are"):
        machine.succeed("systemctl start pyruse")
        for name in bans:
            now = end(machine.succeed(f"nft -j list set inet pyruse {name}"), name, machine.succeed("date +%s"))
            assert abs(now - ends[name]) <= 3, f"the ban ended at {ends[name]}, and now at {now}"
  '';
}
