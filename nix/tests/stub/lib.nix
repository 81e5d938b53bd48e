# The part of the lib of nixpkgs that module.nix needs, for machines without nixpkgs: the same names with the same meaning, but
# simple and with short messages. Where NIXPKGS_LIB names a real one, the tests evaluate with both and compare.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    genList
    head
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    removeAttrs
    replaceStrings
    sort
    stringLength
    substring
    ;

  ## Functions of lists, strings and attribute sets

  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs = keep: set: listToAttrs (concatMap (name: if keep name set.${name} then [ (nameValuePair name set.${name}) ] else [ ]) (attrNames set));
  concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
  escapeShellArg =
    value:
    if match "[[:alnum:],._+:@%/-]+" value != null then value else "'${replaceStrings [ "'" ] [ "'\\''" ] value}'";
  optional = wanted: value: if wanted then [ value ] else [ ];
  isDerivation = value: value.type or null == "derivation";
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  isPathLike = value: isPath value || isDerivation value || (isString value && hasPrefix "/" value);
  inStore = value: isPath value || isDerivation value || hasPrefix "${builtins.storeDir}/" value;

  ## Values with conditions, priorities and places

  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  is = type: value: isAttrs value && value._type or null == type;

  # A definition into the definitions of its keys; the conditions and priorities around it go along. The keys are known before the
  # conditions are.
  spread =
    value:
    if is "merge" value then
      concatMap spread value.contents
    else if is "if" value || is "override" value || is "order" value then
      map (mapAttrs (_: content: value // { inherit content; })) (spread value.content)
    else
      [ value ];

  # The definitions that count: conditions decided, the strongest priority only, in order.
  settle =
    values:
    let
      decide =
        value:
        if is "merge" value then
          concatMap decide value.contents
        else if is "if" value then
          if value.condition then decide value.content else [ ]
        else if is "override" value || is "order" value then
          map (inner: inner // { ${value._type} = value.priority; }) (decide value.content)
        else
          [ { inherit value; } ];
      decided = concatMap decide values;
      strongest = foldl' (least: d: if d.override or 100 < least then d.override or 100 else least) 9999 decided;
    in
    map (d: d.value) (
      sort (a: b: a.order or 1000 < b.order or 1000) (filter (d: d.override or 100 == strongest) decided)
    );

  ## Types

  show = concatStringsSep ".";
  wrong = loc: type: throw "A definition for option `${show loc}' is not of type `${type.name}'";

  mergeValues =
    loc: type: values:
    if values == [ ] then
      throw "The option `${show loc}' was accessed but has no value defined"
    else if all type.check values then
      type.merge loc values
    else
      wrong loc type;
  mergeDefinitions =
    loc: type: values:
    mergeValues loc type (settle values);

  mergeEqual =
    loc: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${show loc}' has conflicting definition values";
  simple = name: check: {
    inherit name check;
    _type = "option-type";
    merge = mergeEqual;
    nestedTypes = { };
    getSubOptions = _: { };
  };
  around = name: elemType: check: {
    inherit name check;
    _type = "option-type";
    nestedTypes = { inherit elemType; };
    inherit (elemType) getSubOptions;
  };

  types = {
    anything = simple "anything" (_: true);
    bool = simple "bool" builtins.isBool;
    int = simple "int" builtins.isInt;
    float = simple "float" builtins.isFloat;
    str = simple "str" isString;
    path = simple "path" isPathLike;
    package = simple "package" isDerivation;
    externalPath = simple "path" (value: isPathLike value && !inStore value);
    strMatching = pattern: simple "strMatching ${builtins.toJSON pattern}" (value: isString value && match pattern value != null);

    nullOr =
      type:
      around "nullOr" type (value: value == null || type.check value)
      // {
        merge = loc: values: if all (value: value == null) values then null else mergeValues loc type values;
      };
    oneOf =
      list:
      simple "oneOf" (value: builtins.any (type: type.check value) list)
      // {
        merge = loc: values: mergeValues loc (head (filter (type: all type.check values) list ++ list)) values;
      };
    listOf =
      type:
      around "listOf" type isList
      // {
        merge =
          loc: lists:
          concatMap (
            list:
            concatMap (
              value:
              let
                settled = settle [ value ];
              in
              optional (settled != [ ]) (mergeValues (loc ++ [ "*" ]) type settled)
            ) list
          ) lists;
      };
    attrsOf =
      type:
      around "attrsOf" type isAttrs
      // {
        merge =
          loc: sets:
          let
            all' = concatMap spread sets;
            settled = mapAttrs (_: settle) (keyed all');
          in
          mapAttrs (name: values: mergeValues (loc ++ [ name ]) type values) (filterAttrs (_: values: values != [ ]) settled);
      };
    submodule =
      module:
      let
        evaluate =
          loc: values:
          evalModules {
            prefix = loc;
            modules = [ module ] ++ map (value: if isFunction value then value else { config = value; }) values;
          };
      in
      simple "submodule" (value: isAttrs value || isFunction value)
      // {
        merge = loc: values: (evaluate loc values).config;
        getSubOptions = loc: (evaluate loc [ ]).options;
      };
  };

  # [ { a = 1; } { a = 2; b = 3; } ] is { a = [ 1 2 ]; b = [ 3 ]; }
  keyed = sets: builtins.zipAttrsWith (_: values: values) sets;

  ## Modules

  isOption = is "option";

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      load =
        module:
        let
          function = if isPath module || isString module then import module else module;
          read = if isFunction function then function arguments else function;
          known = [ "imports" "options" "config" "freeformType" "_file" ];
          full =
            if read ? config || read ? options then
              if removeAttrs read known == { } then read else throw "a module has keys beside config and options"
            else
              { config = removeAttrs read [ "imports" "_file" ]; imports = read.imports or [ ]; };
        in
        [ full ] ++ concatMap load (full.imports or [ ]);
      loaded = concatMap load modules;
      arguments = specialArgs // {
        inherit lib config options;
      };

      freeform = filter (module: module ? freeformType) loaded;

      # All declarations in one tree.
      join =
        loc: sets:
        mapAttrs (
          name: found:
          if builtins.any isOption found then
            if length found == 1 then head found else throw "The option `${show (loc ++ [ name ])}' is declared twice"
          else
            join (loc ++ [ name ]) found
        ) (keyed sets);
      declared = join prefix (map (module: module.options or { }) loaded);

      # The tree of the options with their values.
      fill =
        loc: tree: values:
        let
          given = keyed (concatMap spread values);
        in
        mapAttrs (
          name: option:
          let
            here = loc ++ [ name ];
            own = given.${name} or [ ];
            all' = optional (option ? default) (mkOverride 1500 option.default) ++ own;
          in
          if isOption option then
            option
            // {
              loc = here;
              definitions = settle all';
              value = mergeDefinitions here option.type all';
            }
          else
            fill here option own
        ) tree;
      # What is defined, but not declared: for a freeform type, else an error.
      strays =
        loc: tree: values:
        concatMap (
          set:
          concatMap (
            name:
            if !(tree ? ${name}) then
              [ { loc = loc ++ [ name ]; value = set.${name}; inherit name; } ]
            else if isOption tree.${name} then
              [ ]
            else
              strays (loc ++ [ name ]) tree.${name} [ set.${name} ]
          ) (attrNames set)
        ) (concatMap spread values);

      values = map (module: module.config or { }) loaded;
      options = fill prefix declared values;
      found = strays prefix declared values;
      free = (head freeform).freeformType.merge prefix (map (stray: { ${stray.name} = stray.value; }) found);
      valuesOf = mapAttrs (_: option: if isOption option then option.value else valuesOf option);
      config = if freeform != [ ] then free // valuesOf options else valuesOf options;
    in
    {
      inherit options;
      # Modules do not wait for this, as what they define may depend on other options.
      config =
        if freeform == [ ] && found != [ ] then
          throw "The option `${show (head found).loc}' does not exist"
        else
          config;
    };

  lib = {
    inherit (builtins) concatLists concatMap concatStringsSep;
    inherit
      evalModules
      filterAttrs
      hasPrefix
      isDerivation
      isOption
      mapAttrsToList
      mkIf
      mkMerge
      mkOrder
      nameValuePair
      optional
      types
      ;
    inherit (builtins) any mapAttrs;

    mkOption = option: option // { _type = "option"; };
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkBefore = mkOrder 500;
    mkAfter = mkOrder 1500;
    literalExpression = text: { _type = "literalExpression"; inherit text; };

    concatMapStrings = f: list: concatStringsSep "" (map f list);
    inherit concatMapStringsSep;
    concatStrings = concatStringsSep "";
    count = wanted: list: length (filter wanted list);
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    inherit escapeShellArg;
    hasSuffix =
      suffix: text:
      let
        start = stringLength text - stringLength suffix;
      in
      start >= 0 && substring start (stringLength suffix) text == suffix;
    removeSuffix = suffix: text: substring 0 (stringLength text - stringLength suffix) text;
    imap0 = f: list: genList (i: f i (builtins.elemAt list i)) (length list);
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    optionalAttrs = wanted: set: if wanted then set else { };
    optionalString = wanted: text: if wanted then text else "";
    optionals = wanted: list: if wanted then list else [ ];
    splitString = separator: text: filter isString (builtins.split (literal separator) text);
    unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
  };
  # module.nix splits at these only
  literal = separator: if elem separator [ " " "\n" "/" ] then separator else throw "splitString: not at ${separator}";
in
lib
