# services.pyruse, for NixOS: see README.md beside this file, and docs/tasks/nixos.md.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  cfg = config.services.pyruse;
  path = "services.pyruse";

  readUnit = import ./unitfile.nix { inherit lib; };
  writeJSON = import ./json.nix { inherit lib; };

  ## Files

  # The fragments that come with the package. Their names are taken from here, as the package is not built yet when this is evaluated.
  vendorNames = map (lib.removeSuffix ".json") (
    builtins.filter (lib.hasSuffix ".json") (builtins.attrNames (builtins.readDir ../cmd/pyruse/rules))
  );

  # The typed options that may be unset. A null under any other key is the user's, and stays.
  withoutUnset = settings: settings // { email = lib.filterAttrs (key: value: key != "from" || value != null) settings.email; };

  # Where the machine has a mail server of its own, the report has a reader without a line of the user's. The wrapper of such a server
  # has rights, to write to its queue; that of msmtp and the like, which know no mailboxes, has none.
  wrapper = (config.services.mail or { }).sendmailSetuidWrapper or null;
  hasMailServer = wrapper != null && (wrapper.setuid or false || wrapper.setgid or false);
  withReceiver =
    settings:
    if settings.email.to == [ ] && hasMailServer then
      settings // { email = settings.email // { to = [ "root" ]; }; }
    else
      settings;

  mainFile =
    if cfg.configFile != null then
      cfg.configFile
    else
      pkgs.writeText "pyruse.json" (writeJSON {
        settings = withReceiver (withoutUnset cfg.settings);
        inherit (cfg) chains;
      });

  isEmpty = fragment: fragment.source == null && fragment.chains == [ ] && fragment.settings == { };
  fragmentFile =
    name: fragment:
    if !fragment.enable then
      # An empty file masks. It is only written where there is something to mask.
      lib.optional (builtins.elem name vendorNames) (pkgs.writeText "pyruse-mask.json" "")
    else if fragment.source != null then
      [ fragment.source ]
    else if isEmpty fragment && builtins.elem name vendorNames then
      # fragments."50-ssh".enable = true, and no more: a file would take the place of the one that is meant.
      [ ]
    else
      [ (pkgs.writeText "pyruse-fragment.json" (writeJSON { inherit (fragment) settings chains; })) ];
  fragmentFiles = lib.concatLists (
    lib.mapAttrsToList (
      name: fragment: map (source: { inherit name source; }) (fragmentFile name fragment)
    ) cfg.fragments
  );

  ## Refusals

  # Is this in the store, or put there when it is used?
  inStore =
    value:
    if builtins.isAttrs value then
      value ? outPath
    else
      builtins.isPath value
      || builtins.isString value && (lib.hasPrefix "${builtins.storeDir}/" value || builtins.hasContext value);

  twice = list: lib.unique (builtins.filter (x: lib.count (y: y == x) list > 1) list);

  stepFaults =
    where: chain:
    lib.concatLists (
      lib.imap0 (
        number: step:
        lib.optional ((step.filter == null) == (step.action == null))
          "${where}: the step ${chain.label}[${toString number}] must have a filter or an action, and not both."
      ) chain.steps
    );
  chainFaults =
    where: chains:
    map (label: "${where}: there are several chains with the label \"${label}\".") (twice (map (c: c.label) chains))
    ++ lib.concatMap (stepFaults where) chains;
  actionsFault =
    where: instead: settings:
    lib.optional (settings ? actions)
      "${where}.actions would lose the order of the chains: write them into ${instead}, which is a list${
        lib.optionalString (instead != "${path}.chains") ", as ${path}.chains is"
      }.";

  secretsFaults =
    where: settings:
    let
      smtp = settings.email.smtp or null;
      fault = key: "${where}.email.smtp.${key} would be in the store, which everybody may read:";
    in
    lib.optional (!builtins.elem (smtp.password or null) [ null "" ])
      "${fault "password"} name a file in ${path}.credentials, and the credential in passwordCredential."
    ++ lib.optional (inStore (smtp.passwordFile or null))
      "${fault "passwordFile"} name the file in ${path}.credentials, as a string, and the credential in passwordCredential."
    ++ lib.optional (inStore (smtp.keyFile or null))
      "${fault "keyFile"} name the file in ${path}.credentials, as a string; keyFile is then \"/run/credentials/pyruse.service/NAME\".";

  # Is there anything in this definition? It is asked before values are merged, so conditions and priorities are still there.
  says =
    value:
    if !builtins.isAttrs value || lib.isDerivation value then
      true
    else if value ? _type && value ? contents then
      lib.any says value.contents
    else if value ? _type && value ? content then
      (value.condition or true) && says value.content
    else
      lib.any says (builtins.attrValues value);
  settingsAreSet = lib.any says options.services.pyruse.settings.definitions;

  storageFaults =
    let
      names = builtins.filter (name: name != "" && name != ".") (lib.splitString "/" storage);
      folder = "/${builtins.concatStringsSep "/" names}";
      fault = why: [ "${path}.settings.storage = \"${storage}\": ${why}; take a folder of its own, such as /srv/pyruse." ];
    in
    if builtins.match "/[^[:space:]%\"'\\:]*" storage == null || builtins.elem ".." names then
      [ "${path}.settings.storage must be an absolute path without blanks, quotes, colons, backslashes, percent signs and \"..\": ${storage}" ]
    else if
      lib.any (closed: lib.hasPrefix "${closed}/" "${folder}/") [
        # of the kernel, of Nix
        "/dev"
        "/proc"
        "/sys"
        "/etc"
        "/nix"
        # ProtectHome=, PrivateTmp=
        "/home"
        "/root"
        "/tmp"
        "/var/tmp"
        # empty after a reboot
        "/run"
        "/var/run"
      ]
    then
      fault "there the daemon cannot write, or nothing stays"
    else if
      builtins.elem folder [
        "/"
        "/bin"
        "/boot"
        "/lib"
        "/lib64"
        "/media"
        "/mnt"
        "/opt"
        "/srv"
        "/usr"
        "/var"
        "/var/cache"
        "/var/db"
        "/var/empty"
        "/var/lib"
        "/var/log"
        "/var/spool"
      ]
    then
      fault "the folder would belong to the daemon alone, and nobody else could use it"
    else
      [ ];

  fragmentFaults =
    name: fragment:
    let
      where = "${path}.fragments.\"${name}\"";
    in
    lib.optional (builtins.match "[^./][^/]*" name == null || lib.hasSuffix ".json" name)
      "${where}: the name of a fragment is that of its file without .json; it has no slash, and does not begin with a dot."
    ++ lib.optional (
      fragment.source != null && (fragment.chains != [ ] || fragment.settings != { })
    ) "${where}: source is the whole fragment, so it excludes chains and settings."
    ++ actionsFault "${where}.settings" "${where}.chains" fragment.settings
    ++ secretsFaults "${where}.settings" fragment.settings
    ++ lib.optional (fragment.settings ? storage)
      "${where}.settings.storage: the units are made for one folder; it is said in ${path}.settings.storage."
    ++ chainFaults "${where}.chains" fragment.chains;

  faults =
    actionsFault "${path}.settings" "${path}.chains" cfg.settings
    ++ secretsFaults "${path}.settings" cfg.settings
    ++ storageFaults
    ++ chainFaults "${path}.chains" cfg.chains
    ++ lib.optional (
      cfg.configFile != null && cfg.chains != [ ]
    ) "${path}.configFile is the whole configuration, so it excludes ${path}.chains; use ${path}.fragments to add some."
    ++ lib.optional (
      cfg.configFile != null && settingsAreSet
    ) "${path}.configFile is the whole configuration, so it excludes ${path}.settings; use ${path}.fragments to add some."
    ++ lib.concatLists (lib.mapAttrsToList fragmentFaults cfg.fragments)
    ++ map (
      name: "${path}.credentials.\"${name}\": the name of a credential has no slash, colon, blank or percent sign."
    ) (builtins.filter (name: builtins.match "[^/:%[:space:]]+" name == null) (builtins.attrNames cfg.credentials));

  ## Units

  daemon = readUnit ../cmd/pyruse/systemd/pyruse.service;
  boot = readUnit (../cmd/pyruse/systemd + "/pyruse-boot@.service");
  bootUnits = map (module: "pyruse-boot@${module}") (lib.unique cfg.boot.modules);

  storage = cfg.settings.storage;
  defaultStorage = storage == "/var/lib/pyruse";

  # The units are those of the other systems, but for what follows.
  adapted =
    unit:
    unit
    // {
      # Sets of ipset are often made by the iptables firewall (firewall.service); userborn makes the user where systemd-sysusers
      # does not. Where there is no such unit, the order means nothing.
      after = unit.after ++ [
        "firewall.service"
        "userborn.service"
      ];
      unitConfig =
        unit.unitConfig
        // lib.optionalAttrs (!defaultStorage) {
          RequiresMountsFor = storage;
        };
      serviceConfig =
        removeAttrs unit.serviceConfig (
          [
            # Type=notify-reload is there, as the systemd of NixOS is newer than 253: a reload ends when the new configuration is
            # in force.
            "ExecReload"
            # /etc/pyruse is made of environment.etc, and with an immutable /etc nobody could make it.
            "ConfigurationDirectory"
          ]
          # Another folder than the default is made by systemd-tmpfiles.
          ++ lib.optionals (!defaultStorage) [
            "StateDirectory"
            "StateDirectoryMode"
          ]
        )
        // {
          ExecStart = builtins.replaceStrings [ "/usr/bin/" ] [ "${cfg.package}/bin/" ] unit.serviceConfig.ExecStart;
        }
        // lib.optionalAttrs (!defaultStorage) {
          ReadWritePaths = [ storage ];
        };
    };
  adaptedDaemon = adapted daemon;
  adaptedBoot = adapted boot;

  services = {
    pyruse = adaptedDaemon // {
      after = lib.unique (adaptedDaemon.after ++ map (unit: "${unit}.service") bootUnits);
      # What may differ between two configurations stands here and nowhere else in the unit, so that a switch reloads.
      reloadTriggers = [ "${mainFile}" ] ++ map (file: "${file.source}") fragmentFiles;
      serviceConfig =
        # Which addresses the daemon may talk to depends on where the mail goes, and that is a setting: a new mail server would
        # restart the daemon. So the addresses stay open here; to close them, set IPAddressDeny and IPAddressAllow.
        removeAttrs adaptedDaemon.serviceConfig [
          "IPAddressDeny"
          "IPAddressAllow"
        ]
        // {
          Type = "notify-reload";
        }
        // lib.optionalAttrs (cfg.credentials != { }) {
          LoadCredential = lib.mapAttrsToList (name: file: "${name}:${file}") cfg.credentials;
        };
    };

    # The instances are wanted, not the template.
    "pyruse-boot@" = removeAttrs adaptedBoot [ "wantedBy" ];
  }
  // builtins.listToAttrs (
    map (
      unit:
      lib.nameValuePair unit {
        # A unit of its own would have no ExecStart, and would hide the template.
        overrideStrategy = "asDropin";
        inherit (boot) wantedBy;
      }
    ) bootUnits
  );
in
{
  options.services.pyruse = import ./options.nix { inherit lib pkgs; };

  config = lib.mkIf cfg.enable {
    assertions = map (message: {
      assertion = false;
      inherit message;
    }) faults;

    environment.etc = {
      "pyruse/pyruse.json".source = mainFile;
    }
    // builtins.listToAttrs (
      map (file: lib.nameValuePair "pyruse.d/${file.name}.json" { inherit (file) source; }) fragmentFiles
    );

    # pyruse bans, pyruse check, and the manual pages.
    environment.systemPackages = [ cfg.package ];

    users.users.pyruse = {
      isSystemUser = true;
      group = "pyruse";
      # for `sudo -u pyruse pyruse check --system`; the daemon has it from its unit
      extraGroups = [ "systemd-journal" ];
      description = "Pyruse, the watcher of the journal";
      home = storage;
    };
    users.groups.pyruse = { };

    systemd = lib.optionalAttrs (!defaultStorage) {
      tmpfiles.rules = [ "d ${storage} 0700 pyruse pyruse -" ];
    }
    // { inherit services; };

    system.checks = lib.optional (cfg.checkConfig && pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) (
      pkgs.runCommand "pyruse-configuration-is-sound" { } ''
        take() {
          if [ ! -r "$1" ]; then
            echo "$1 cannot be read when the system is built: write the path without quotes, so that Nix has the file, or set ${path}.checkConfig = false." >&2
            exit 1
          fi
          cp "$1" "$2"
        }
        take ${lib.escapeShellArg "${mainFile}"} pyruse.json
        mkdir pyruse.d
        ${lib.concatMapStrings (
          file: "take ${lib.escapeShellArgs [ "${file.source}" "pyruse.d/${file.name}.json" ]}\n"
        ) fragmentFiles}
        set -- --config-dir pyruse.d
        if [ -d ${cfg.package}/lib/pyruse.d ]; then
          set -- --config-dir ${cfg.package}/lib/pyruse.d "$@"
        fi
        ${cfg.package}/bin/pyruse check --config pyruse.json "$@"

        # Nix does not see into configFile and source. Each line of --origin is PLACE, tab, KEY = VALUE.
        if ${cfg.package}/bin/pyruse config --origin --config pyruse.json "$@" 2>/dev/null |
          grep $'\tstorage = ' | grep -vF ${lib.escapeShellArg "\tstorage = \"${storage}\""}; then
          echo 'The units are made for the storage ${storage}; another one is said in ${path}.settings.storage.' >&2
          exit 1
        fi
        touch $out
      ''
    );
  };
}
