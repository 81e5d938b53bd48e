# What takes the sets away does not take the bans away, and a restart of the firewall does not stop the daemon.
{ common }:
{
  name = "pyruse-flush";

  nodes.machine = {
    imports = [ common ];
    services.pyruse.enable = true;
    networking.nftables = {
      enable = true;
      flushRuleset = true;
    };
  };

  testScript = ''
    def banned():
        machine.wait_until_succeeds("nft list set inet pyruse ban4 | grep -q 203.0.113.7", timeout=10)

    machine.wait_for_unit("pyruse.service")
    machine.succeed("pyruse bans add 'inet pyruse ban4' 203.0.113.7 --for 1h")
    banned()
    pid = machine.succeed("systemctl show -P MainPID pyruse")

    for command in (
        "nft flush ruleset",
        "nft delete table inet pyruse",
        "systemctl reload nftables",
        "systemctl restart nftables",
    ):
        with subtest(command):
            machine.succeed(command)
            banned()

    assert pid == machine.succeed("systemctl show -P MainPID pyruse")
  '';
}
