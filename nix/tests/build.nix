# Evaluates package.nix and flake.nix with stand-ins for nixpkgs: what they ask of it, and what they give to it.
{
  libPath ? ./stub/lib.nix,
}:
let
  small = import libPath;
  # what package.nix uses, and module.nix does not
  lib = {
    removePrefix = prefix: text: builtins.substring (builtins.stringLength prefix) (builtins.stringLength text) text;
    getExe' = package: name: "${package}/bin/${name}";
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    getLib = package: package;
    genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
    licenses.gpl3Plus.spdxId = "GPL-3.0-or-later";
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
  } // small;

  program = name: { type = "derivation"; inherit name; outPath = "/nix/store/${name}"; };
  # Enough of nixpkgs for one kind of machine.
  nixpkgsFor =
    { canExecute }:
    let
      pkgs = rec {
        inherit lib;
        stdenv = {
          buildPlatform.canExecute = _: canExecute;
          hostPlatform.system = "x86_64-linux";
        };
        bash = program "bash";
        patchelf = program "patchelf";
        sqlite = program "sqlite";
        systemd = program "systemd";
        buildPackages = (if canExecute then pkgs else nixpkgsFor { canExecute = true; }) // {
          bash = program "build-bash";
        };
        buildGoModule = arguments: program "pyruse" // { inherit arguments; inherit (arguments) meta; tests = arguments.passthru.tests; };
        testers = {
          testVersion = arguments: { inherit (arguments) command; };
          runNixOSTest = test: { inherit (test) name testScript; nodes = builtins.attrNames test.nodes; };
        };
        callPackage = file: given: let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // given);
        writeText = name: text: program name // { inherit text; };
        runCommand = name: _: script: program name // { inherit script; };
      };
    in
    pkgs;
  build = pkgs: builtins.removeAttrs (pkgs.callPackage ../package.nix { }).arguments [ "passthru" ];

  flake = import ../flake.nix;
  pkgs = nixpkgsFor { canExecute = true; };
  outputs = flake.outputs {
    self = outputs;
    nixpkgs = {
      inherit lib;
      legacyPackages = { x86_64-linux = pkgs; aarch64-linux = pkgs; };
    };
  };
  # the daemon of a machine with this module
  execStart =
    module: pkgs:
    (lib.evalModules {
      specialArgs.pkgs = pkgs;
      modules = [ ./stub/nixos.nix module { services.pyruse.enable = true; } ];
    }).config.systemd.services.pyruse.serviceConfig.ExecStart;
in
{
  package = build pkgs;
  crossPackage = build (nixpkgsFor { canExecute = false; });
  inherit (outputs.packages.x86_64-linux.default) tests;
  source = import ../source.nix;
  flake = {
    outputs = builtins.attrNames outputs;
    systems = builtins.attrNames outputs.packages;
    checks = builtins.attrNames outputs.checks.aarch64-linux;
    overlay = builtins.attrNames (outputs.overlays.default pkgs pkgs);
    # on a machine whose nixpkgs knows no Pyruse
    execStart = execStart outputs.nixosModules.default pkgs;
  };
  # the module without the flake: with such a nixpkgs, and with an overlay
  module = {
    alone = execStart ../module.nix pkgs;
    overlaid = execStart ../module.nix (pkgs // { pyruse = program "overlaid"; });
  };
}
