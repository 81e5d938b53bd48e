# Who guesses passwords at a real sshd is banned, with no configuration but enable = true; another machine is not.
{ common }:
{
  name = "pyruse-ban";

  nodes = {
    server = {
      imports = [ common ];
      services.pyruse.enable = true;
      services.openssh = {
        enable = true;
        settings.PasswordAuthentication = true;
      };
    };
    attacker =
      { pkgs, ... }:
      {
        environment.systemPackages = [ pkgs.sshpass ];
      };
    friend = { };
  };

  testScript = ''
    start_all()
    server.wait_for_unit("pyruse.service")
    server.wait_for_unit("sshd.service")
    server.wait_for_open_port(22)
    for machine in (attacker, friend):
        machine.wait_for_unit("multi-user.target")
        machine.wait_until_succeeds("ping -c 1 -W 1 server")

    # The names of the machines have addresses of IPv6 as well, and ssh would take those.
    def address(node):
        return node.succeed("ip -4 -o addr show eth1 | sed 's,.* inet \\([0-9.]*\\)/.*,\\1,'").strip()

    service = address(server)
    stranger = address(attacker)

    with subtest("the sandbox"):
        server.succeed("systemctl show -P User pyruse | grep -qx pyruse")
        server.succeed("systemctl show -P Type pyruse | grep -qx notify-reload")

    with subtest("five guesses are a ban"):
        for _ in range(5):
            # in the end it is banned, and cannot even connect
            attacker.fail(
                "sshpass -p wrong ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
                f"-o PreferredAuthentications=password -o NumberOfPasswordPrompts=1 -o ConnectTimeout=5 admin@{service} true"
            )
        server.wait_until_succeeds(f"pyruse bans list | grep -qwF {stranger}", timeout=60)
        server.succeed(f"nft list set inet pyruse ban4 | grep -qwF {stranger}")

    with subtest("packets of the attacker are dropped, those of others are not"):
        attacker.fail(f"timeout 5 bash -c ': < /dev/tcp/{service}/22'")
        friend.succeed(f"timeout 5 bash -c ': < /dev/tcp/{service}/22'")
  '';
}
