# A ban is in the set before the network is up, with the time that it has left.
{ common }:
{
  name = "pyruse-reboot";

  nodes.machine = {
    imports = [ common ];
    services.pyruse.enable = true;
    networking.nftables.enable = true;
  };

  testScript = ''
    machine.wait_for_unit("pyruse.service")
    machine.succeed("pyruse bans add 'inet pyruse ban4' 203.0.113.7 --for 1h")
    machine.succeed("pyruse bans add 'inet pyruse ban6' 2001:db8::7 --for 1h")
    machine.wait_until_succeeds("nft list set inet pyruse ban4 | grep -q 203.0.113.7", timeout=30)

    machine.shutdown()
    machine.start()
    machine.wait_for_unit("pyruse-boot@action_nftBan.service")
    machine.wait_for_unit("pyruse.service")
    machine.succeed("nft list set inet pyruse ban4 | grep -q '203.0.113.7 .*expires'")
    machine.succeed("nft list set inet pyruse ban6 | grep -q '2001:db8::7 .*expires'")

    def reached(unit):
        return int(machine.succeed(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}"))

    assert reached("nftables.service") < reached("pyruse-boot@action_nftBan.service")
    assert reached("pyruse-boot@action_nftBan.service") <= reached("network-pre.target")
  '';
}
