# The machines on which Pyruse is tried, by name: each is a test of NixOS (testers.runNixOSTest).
{ testers, package }:
let
  common =
    { pkgs, ... }:
    {
      imports = [ ../module.nix ];
      services.pyruse.package = package;
      # the scripts look into the sets
      environment.systemPackages = [ pkgs.nftables ];
    };
  run = file: testers.runNixOSTest (import file { inherit common; });
in
{
  ban = run ./ban.nix;
  reboot = run ./reboot.nix;
  flush = run ./flush.nix;
  switch = run ./switch.nix;
  mail = run ./mail.nix;
}
