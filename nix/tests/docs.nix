# The options of module.nix as a list, for docs/reference/nixos-options.md: name, type, default, example and description.
{
  libPath ? ./stub/lib.nix,
}:
let
  lib = import libPath;
  inherit
    (lib.evalModules {
      specialArgs.pkgs = import ./stub/pkgs.nix { pyruse = "/usr"; };
      modules = [
        ./stub/nixos.nix
        ../module.nix
      ];
    })
    options
    ;

  typeName =
    type:
    let
      inner = typeName type.nestedTypes.elemType;
    in
    if type.description or "" == "JSON value" then
      "JSON value"
    else if builtins.match "strMatching (.*)" type.name != null then
      "string matching ${builtins.head (builtins.match "strMatching (.*)" type.name)}"
    else
      {
        bool = "boolean";
        str = "string";
        path = "path";
        package = "package";
        submodule = "submodule";
        nullOr = "null or ${inner}";
        listOf = "list of ${inner}";
        attrsOf = "attribute set of ${inner}";
      }
      .${type.name};

  # How the name of an option goes on where it is one of many.
  many =
    type:
    {
      nullOr = many type.nestedTypes.elemType;
      listOf = [ "*" ] ++ many type.nestedTypes.elemType;
      attrsOf = [ "<name>" ] ++ many type.nestedTypes.elemType;
    }
    .${type.name} or [ ];

  key = name: if builtins.match "[a-zA-Z_][a-zA-Z0-9_-]*" name != null && !builtins.elem name [ "then" "else" ] then name else builtins.toJSON name;
  # A value as it is written in Nix.
  code =
    value:
    if builtins.isAttrs value && value._type or null == "literalExpression" then
      value.text
    else if builtins.isAttrs value then
      if value == { } then "{ }" else "{ ${lib.concatStrings (lib.mapAttrsToList (name: v: "${key name} = ${code v}; ") value)}}"
    else if builtins.isList value then
      if value == [ ] then "[ ]" else "[ ${builtins.concatStringsSep " " (map code value)} ]"
    else
      builtins.replaceStrings [ "$" ] [ "\\$" ] (builtins.toJSON value);

  entry = loc: option: {
    name = builtins.concatStringsSep "." (map (part: if part == "<name>" || part == "*" then part else key part) loc);
    type = typeName option.type;
    inherit (option) description;
    default = if option ? defaultText then code option.defaultText else if option ? default then code option.default else "";
    example = if option ? example then code option.example else "";
  };
  walk =
    loc: tree:
    builtins.concatMap (
      name:
      let
        here = loc ++ [ name ];
        option = tree.${name};
        below = here ++ many option.type;
      in
      if builtins.elem name [ "_module" "_freeformOptions" ] then
        [ ]
      else if lib.isOption option then
        [ (entry here option) ] ++ walk below (option.type.getSubOptions below)
      else
        walk here option
    ) (builtins.attrNames tree);
in
walk [ "services" "pyruse" ] options.services.pyruse
