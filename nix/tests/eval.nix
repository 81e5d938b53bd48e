# Evaluates module.nix with the strict options of stub/nixos.nix, and gives what NixOS would make of it.
#   libPath        the lib of nixpkgs, or the small one
#   pyruse         the path of the package
#   configuration  a module; its argument pkgs has "other", a second package
{
  libPath ? ./stub/lib.nix,
  pyruse ? "/usr",
  canExecute ? true,
  configuration,
}:
let
  lib = import libPath;
  pkgs = import ./stub/pkgs.nix { inherit pyruse canExecute; };
  inherit
    (lib.evalModules {
      specialArgs = { inherit pkgs; };
      modules = [
        ./stub/nixos.nix
        ../module.nix
        configuration
      ];
    })
    config
    ;
  services = lib.filterAttrs (_: service: service.enable) config.systemd.services;
  file =
    name: service:
    if service.overrideStrategy == "asDropin" then "${name}.service.d/overrides.conf" else "${name}.service";
in
{
  refusals = map (assertion: assertion.message) (builtins.filter (assertion: !assertion.assertion) config.assertions);
  inherit (config) warnings;
  etc = lib.mapAttrs (_: file: "${file.source}") config.environment.etc;
  units = lib.mapAttrs' (
    name: service: lib.nameValuePair (file name service) (import ./stub/unit.nix lib service)
  ) services;
  wantedBy = lib.mapAttrs (_: service: service.wantedBy) services;
  requiredBy = lib.mapAttrs (_: service: service.requiredBy) services;
  reloadTriggers = lib.mapAttrs (_: service: service.reloadTriggers) services;
  checks = map (check: check.script) config.system.checks;
  packages = map (package: package.name) config.environment.systemPackages;
  inherit (config.users) users groups;
  tmpfiles = config.systemd.tmpfiles.rules;
}
