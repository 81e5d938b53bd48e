# The text of a service as NixOS writes it: lib/systemd-lib.nix of nixpkgs says how. Switches compare these texts, so the triggers
# stand in it, too, and what says how a switch treats the unit.
lib: service:
let
  text = value: if builtins.isBool value then (if value then "true" else "false") else toString value;
  line = key: value: if builtins.isList value then lib.concatMapStrings (line key) value else "${key}=${text value}\n";
  section = name: keys: "[${name}]\n" + lib.concatStrings (lib.mapAttrsToList line keys);
  words = key: list: lib.optionalAttrs (list != [ ]) { ${key} = builtins.concatStringsSep " " list; };
in
section "Unit" (
  words "After" service.after
  // words "Before" service.before
  // words "Wants" service.wants
  // words "Requires" service.requires
  // words "BindsTo" service.bindsTo
  // words "PartOf" service.partOf
  // words "Conflicts" service.conflicts
  // words "Documentation" service.documentation
  // words "X-Reload-Triggers" service.reloadTriggers
  // words "X-Restart-Triggers" service.restartTriggers
  // lib.optionalAttrs (service.description != "") { Description = service.description; }
  // service.unitConfig
)
+ "\n"
+ section "Service" (
  lib.optionalAttrs (service.environment != { }) {
    Environment = lib.mapAttrsToList (name: value: "\"${name}=${toString value}\"") service.environment;
  }
  // lib.optionalAttrs service.reloadIfChanged { X-ReloadIfChanged = true; }
  // lib.optionalAttrs (!service.restartIfChanged) { X-RestartIfChanged = false; }
  // lib.optionalAttrs (!service.stopIfChanged) { X-StopIfChanged = false; }
  // service.serviceConfig
)
