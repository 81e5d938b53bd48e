# Pyruse, for pkgs.callPackage.
{
  lib,
  stdenv,
  buildGoModule,
  buildPackages,
  patchelf,
  sqlite,
  systemd,
  testers,
}:
let
  version = "3.0.0";

  # The files of source.nix, and the folders on the way to them.
  isNeeded =
    path: _:
    let
      relative = lib.removePrefix (toString ../. + "/") path;
      below = folder: file: lib.hasPrefix "${folder}/" "${file}/";
    in
    lib.any (needed: below needed relative || below relative needed) (import ./source.nix);

  # `make install` asks the program for its schemas and completions. One for another machine cannot answer; then one for this
  # machine does.
  canExecute = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  built = "$GOPATH/bin/pyruse";
  runnable = if canExecute then built else lib.getExe (buildPackages.callPackage ./package.nix { });

  package = buildGoModule {
    pname = "pyruse";
    inherit version;

    src = builtins.path {
      name = "pyruse-source";
      path = ../.;
      filter = isNeeded;
    };

    # The hash of what `go mod vendor` makes of the source above. The test TestVendorHash of this folder computes it, and fails with
    # the right one where a module has changed.
    vendorHash = "sha256-k8DIfpK0lgb0CQjazLOFfGLABgknspqzJn/x2WyQ5/4=";

    subPackages = [ "cmd/pyruse" ];
    tags = [ "libsqlite3" ];
    env.CGO_ENABLED = 1;
    buildInputs = [
      sqlite
      systemd
    ];
    nativeBuildInputs = [ patchelf ];
    ldflags = [
      "-X main.version=${version}"
      "-X github.com/pyruse/pyruse/internal/config.VendorDir=${placeholder "out"}/lib/pyruse.d"
    ];

    # The tests want root, a journald and nftables of their own: `make test`, and the machines of passthru.tests.
    doCheck = false;

    # Man pages, schemas, completions, units and rules. The Makefile is for systems with /bin/bash.
    installPhase = ''
      runHook preInstall
      make install SHELL=${lib.getExe' buildPackages.bash "bash"} \
        BIN="${runnable}" PREFIX="$out" RULES="$out/lib/pyruse.d" NOTIFY_RELOAD=yes
      install -m 0755 "${built}" "$out/bin/pyruse"
      runHook postInstall
    '';

    # libsystemd is not linked, but opened when the daemon starts. This comes after the fixup, which takes unused paths away.
    postFixup = ''
      patchelf --add-rpath ${lib.getLib systemd}/lib "$out/bin/pyruse"
    '';

    passthru.tests = {
      version = testers.testVersion {
        inherit package;
        command = "pyruse version";
      };
    }
    // import ./tests { inherit testers package; };

    meta = {
      description = "Watches the systemd journal, bans in the firewall, and reports once a day";
      homepage = "https://github.com/pyruse/pyruse";
      changelog = "https://github.com/pyruse/pyruse/blob/main/CHANGELOG.md";
      license = lib.licenses.gpl3Plus;
      mainProgram = "pyruse";
      platforms = lib.platforms.linux;
    };
  };
in
package
