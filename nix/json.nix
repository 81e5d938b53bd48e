# Writes the files of Pyruse. An attribute set of Nix is always sorted, but the order of the chains has a meaning; so "actions" is
# written from a list, label by label, and never passes through an attribute set.
{ lib }:
let
  indented = values: lib.concatMapStringsSep "," (value: "\n    ${value}") values;
  member = key: text: "${builtins.toJSON key}: ${text}";

  # What the user has not set is left out; a null of the user in args stays.
  step =
    { args, ... }@options:
    builtins.toJSON (
      lib.filterAttrs (_: value: value != null) {
        inherit (options) filter action "then" "else";
        args = if args == { } then null else args;
      }
    );
  chain = { label, steps }: member label "[${lib.concatMapStringsSep "," (s: "\n      ${step s}") steps}\n    ]";
  actions = chains: member "actions" "{${indented (map chain chains)}\n  }";
in
{
  settings,
  chains,
}:
let
  members =
    lib.mapAttrsToList (key: value: member key (builtins.toJSON value)) settings
    ++ lib.optional (chains != [ ]) (actions chains);
in
if members == [ ] then "{}\n" else "{${lib.concatMapStringsSep "," (m: "\n  ${m}") members}\n}\n"
