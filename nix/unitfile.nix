# Reads a unit file of systemd, and gives what systemd.services.NAME takes. So NixOS has the units that the other systems have, and a
# change of them reaches it. What is not understood is an error: a line must not get lost.
{ lib }:
let
  lines = text: builtins.filter (line: builtins.match "[[:space:]]*([#;].*)?" line == null) (lib.splitString "\n" text);

  # { Unit.After = [ "a.service b.service" ]; … }: each key has a list, as it may stand there several times; an empty value begins anew.
  sections =
    file: text:
    let
      begin = section: sections: { inherit section; sections = { ${section} = { }; } // sections; };
      read =
        state: line:
        let
          section = builtins.match "\\[([A-Za-z]+)]" line;
          pair = builtins.match "([A-Za-z]+)=(.*[^\\])?" line;
          key = builtins.elemAt pair 0;
          value = builtins.elemAt pair 1;
          inSection = state.sections.${state.section};
        in
        if section != null then
          begin (builtins.head section) state.sections
        else if pair == null || state.section == null then
          throw "${file}: this line of a unit file is not understood: ${line}"
        else
          state
          // {
            sections = state.sections // {
              ${state.section} = inSection // {
                ${key} = if value == null then [ ] else (inSection.${key} or [ ]) ++ [ value ];
              };
            };
          };
    in
    (builtins.foldl' read { section = null; sections = { }; } (lines text)).sections;

  words = values: builtins.filter (word: word != "") (lib.concatMap (lib.splitString " ") values);

  # Keys that have an option of their own in NixOS.
  lists = {
    Unit = {
      Documentation = "documentation";
      After = "after";
      Before = "before";
      Wants = "wants";
      Conflicts = "conflicts";
    };
    Install.WantedBy = "wantedBy";
  };
  # DefaultInstance= is for `systemctl enable`, which NixOS does not have.
  known = {
    Unit = _: true;
    Service = _: true;
    Install = key: lists.Install ? ${key} || key == "DefaultInstance";
  };

  scalar = value: if value == "yes" then true else if value == "no" then false else value;
  setting = values: if builtins.length values == 1 then scalar (builtins.head values) else values;

  variable =
    word:
    let
      parts = builtins.match "([A-Z_]+)=([^\"']*)" word;
    in
    if parts == null then
      throw "this variable of a unit file is not understood: ${word}"
    else
      lib.nameValuePair (builtins.elemAt parts 0) (builtins.elemAt parts 1);
in
file:
let
  read = sections (toString file) (builtins.readFile file);
  unknown = lib.concatLists (
    lib.mapAttrsToList (
      section: keys:
      if !(known ? ${section}) then
        [ "[${section}]" ]
      else
        map (key: "${key}= in [${section}]") (builtins.filter (key: !known.${section} key) (builtins.attrNames keys))
    ) read
  );
  unit = read.Unit or { };
  service = read.Service or { };
  taken =
    section:
    lib.mapAttrs' (key: values: lib.nameValuePair lists.${section}.${key} (words values)) (
      lib.filterAttrs (key: _: lists.${section} ? ${key}) (read.${section} or { })
    );
in
if unknown != [ ] then
  throw "${toString file}: this part of a unit file is not understood: ${builtins.concatStringsSep ", " unknown}"
else
  taken "Unit"
  // taken "Install"
  // {
    description = lib.concatStrings unit.Description;
    unitConfig = lib.mapAttrs (_: setting) (removeAttrs unit ([ "Description" ] ++ builtins.attrNames lists.Unit));
    serviceConfig = lib.mapAttrs (_: setting) (removeAttrs service [ "Environment" ]);
    environment = builtins.listToAttrs (map variable (words (service.Environment or [ ])));
  }
