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
    # On NixOS, Postfix has a maildir for each user.
    def arrives(line):
        machine.wait_until_succeeds(f"grep -rq '{line}' /var/spool/mail/alice", timeout=60)

    machine.wait_for_unit("postfix.service")
    machine.wait_for_unit("pyruse.service")
    machine.wait_for_open_port(25)

    with subtest("a mail that is sent now"):
        machine.succeed("pyruse mail test")
        arrives("^Subject: Pyruse test mail")
        arrives("^To: .*alice@localhost")

    with subtest("the report"):
        machine.succeed("logger -t site something unheard of")
        machine.succeed("pyruse report --send")
        arrives("^Subject: Pyruse Report")
        machine.wait_until_succeeds("pyruse mail list | grep -qx 'no mail waits'", timeout=60)
  '';
}
