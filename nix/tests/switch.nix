# A switch to another configuration reloads the daemon, does not restart it, and keeps the bans.
{ common }:
{
  name = "pyruse-switch";

  nodes.machine = {
    imports = [ common ];
    services.pyruse.enable = true;
    networking.nftables.enable = true;

    specialisation.changed.configuration.services.pyruse = {
      settings.report.at = "07:00";
      chains = [
        {
          label = "site";
          steps = [
            {
              filter = "filter_equals";
              args = {
                field = "SYSLOG_IDENTIFIER";
                value = "site";
              };
            }
            {
              action = "action_log";
              args = {
                level = "WARNING";
                message = "site said: {MESSAGE}";
              };
            }
          ];
        }
      ];
      fragments."50-ssh".enable = false;
    };
  };

  testScript = ''
    machine.wait_for_unit("pyruse.service")
    machine.succeed("pyruse bans add 'inet pyruse ban4' 203.0.113.7 --for 1h")
    machine.wait_until_succeeds("nft list set inet pyruse ban4 | grep -q 203.0.113.7", timeout=30)
    pid = machine.succeed("systemctl show -P MainPID pyruse")
    assert "ssh: ban" in machine.succeed("pyruse config")

    machine.succeed("/run/current-system/specialisation/changed/bin/switch-to-configuration test")

    with subtest("the daemon was reloaded"):
        assert pid == machine.succeed("systemctl show -P MainPID pyruse")
        machine.succeed("logger -t site hello")
        machine.wait_until_succeeds("journalctl -u pyruse | grep -q 'site said: hello'", timeout=30)

    with subtest("the vendor fragment is masked"):
        machine.succeed("test -e /etc/pyruse.d/50-ssh.json -a ! -s /etc/pyruse.d/50-ssh.json")
        assert "ssh: ban" not in machine.succeed("pyruse config")

    with subtest("the ban is there"):
        machine.succeed("nft list set inet pyruse ban4 | grep -q 203.0.113.7")

    with subtest("also after a switch back"):
        machine.succeed("/run/booted-system/bin/switch-to-configuration test")
        assert pid == machine.succeed("systemctl show -P MainPID pyruse")
        machine.succeed("nft list set inet pyruse ban4 | grep -q 203.0.113.7")
  '';
}
