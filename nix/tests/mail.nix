# The report gets to the mailbox of a user, by the mail server of this machine.
{ common }:
{
  name = "pyruse-mail";

  nodes.machine = {
    imports = [ common ];
    services.pyruse = {
      enable = true;
      settings.email = {
        from = "pyruse@localhost";
        to = [ "alice@localhost" ];
      };
    };
    services.postfix = {
      enable = true;
      setSendmail = true;
    };
    users.users.alice.isNormalUser = true;
  };

  testScript = ''
    machine.wait_for_unit("postfix.service")
    machine.wait_for_unit("pyruse.service")

    with subtest("a mail that is sent now"):
        machine.succeed("pyruse mail test")
        machine.wait_until_succeeds("grep -q '^To: .*alice@localhost' /var/spool/mail/alice", timeout=60)

    with subtest("the report"):
        machine.succeed("logger -t site something unheard of")
        machine.succeed("pyruse report --send")
        machine.wait_until_succeeds("grep -q '^Subject: Pyruse Report' /var/spool/mail/alice", timeout=60)
        machine.succeed("pyruse mail list")
  '';
}
