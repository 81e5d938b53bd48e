{
  description = "Pyruse, the watcher of the journal";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAll = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      build = pkgs: pkgs.callPackage ./package.nix { };
    in
    {
      packages = forAll (pkgs: rec {
        default = pyruse;
        pyruse = build pkgs;
      });

      overlays.default = final: _: { pyruse = build final; };

      # It needs no overlay: the package is built with the nixpkgs of the machine, for its platform.
      nixosModules = rec {
        default = pyruse;
        pyruse =
          { lib, pkgs, ... }:
          {
            imports = [ ./module.nix ];
            services.pyruse.package = lib.mkDefault (build pkgs);
          };
      };

      # The machines of tests/, and the package.
      checks = forAll (
        pkgs:
        let
          package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        in
        package.tests // { inherit package; }
      );
    };
}
