# The machines on which Pyruse is tried, by name: each is a test of NixOS (testers.runNixOSTest).
{ testers, package }:
let
  common = {
    imports = [ ../module.nix ];
    services.pyruse.package = package;
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
