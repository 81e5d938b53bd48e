# The options of NixOS that Pyruse may define, with their types. Everything else is unknown here, and so an error.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  value = types.oneOf [ types.bool types.int types.str types.path types.package ];
  values = types.attrsOf (types.oneOf [ types.bool types.int types.str (types.listOf value) types.path types.package ]);
  strings = option (types.listOf types.str) [ ];
  submodule = options: types.submodule { inherit options; };

  unit = {
    description = option types.str "";
    documentation = strings;
    after = strings;
    before = strings;
    wants = strings;
    requires = strings;
    bindsTo = strings;
    partOf = strings;
    conflicts = strings;
    wantedBy = strings;
    requiredBy = strings;
    unitConfig = option values { };
  };
  service = unit // {
    enable = option types.bool true;
    serviceConfig = option values { };
    environment = option (types.attrsOf (types.oneOf [ types.str types.path types.package ])) { };
    reloadTriggers = option (types.listOf types.str) [ ];
    restartTriggers = option (types.listOf types.str) [ ];
    restartIfChanged = option types.bool true;
    reloadIfChanged = option types.bool false;
    stopIfChanged = option types.bool true;
    overrideStrategy = option types.str "asDropinIfExists";
  };
  user = {
    isSystemUser = option types.bool false;
    isNormalUser = option types.bool false;
    uid = option (types.nullOr types.int) null;
    group = option types.str "";
    extraGroups = strings;
    description = option types.str "";
    home = option types.str "/var/empty";
    createHome = option types.bool false;
  };
  file = {
    enable = option types.bool true;
    source = mkOption { type = types.path; };
    mode = option types.str "symlink";
    user = option types.str "+0";
    group = option types.str "+0";
  };
in
{
  options = {
    assertions = option (types.listOf types.anything) [ ];
    warnings = strings;
    environment.etc = option (types.attrsOf (submodule file)) { };
    environment.systemPackages = option (types.listOf types.package) [ ];
    users.users = option (types.attrsOf (submodule user)) { };
    users.groups = option (types.attrsOf (submodule { gid = option (types.nullOr types.int) null; })) { };
    systemd.services = option (types.attrsOf (submodule service)) { };
    systemd.tmpfiles.rules = strings;
    services.mail.sendmailSetuidWrapper = option (types.nullOr types.anything) null; # of the modules of mail servers
    system.checks = option (types.listOf types.package) [ ];
  };
}
