# What module.nix takes from nixpkgs. Files are made for real, so that tests read them; a command is not run, but shown, and the test
# runs it.
{
  pyruse,
  canExecute ? true,
}:
let
  derivation = name: outPath: { type = "derivation"; inherit name outPath; };
in
{
  writeText = name: text: derivation name (builtins.toFile name text);
  runCommand = name: _: script: derivation name "/nix/store/not-built-${name}" // { inherit script; };
  stdenv = {
    buildPlatform.canExecute = _: canExecute;
    hostPlatform = { };
  };
  pyruse = derivation "pyruse" pyruse;
  other = derivation "other" "/nix/store/other";
}
