# The units and files that NixOS would write, as JSON: { "pyruse.service" = text; … }, and "files" with the contents of /etc, and
# "wantedBy" with the targets. So another system can boot the units of NixOS:
#   nix-instantiate --eval --strict --json --read-write-mode --argstr pyruse /usr nix/tests/render.nix
{
  libPath ? ./stub/lib.nix,
  pyruse ? "/usr",
  configuration ? {
    services.pyruse.enable = true;
  },
}:
let
  result = import ./eval.nix { inherit libPath pyruse configuration; };
in
if result.refusals != [ ] then
  throw (builtins.concatStringsSep "\n" result.refusals)
else
  result.units
  // {
    inherit (result) wantedBy;
    files = builtins.mapAttrs (_: builtins.readFile) result.etc;
  }
