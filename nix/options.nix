# The options of services.pyruse.
{ lib, pkgs }:
let
  inherit (lib) mkOption types literalExpression;

  # What builtins.toJSON can write.
  json =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
        types.path
        (types.attrsOf json)
        (types.listOf json)
      ]
    )
    // {
      description = "JSON value";
    };
  jsonObject = types.attrsOf json;

  step = types.submodule {
    options = {
      filter = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "filter_equals";
        description = "The filter of this step. A step has either a filter or an action.";
      };
      action = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "action_nftBan";
        description = "The action of this step. A step has either a filter or an action.";
      };
      args = mkOption {
        type = jsonObject;
        default = { };
        example = {
          field = "SYSLOG_IDENTIFIER";
          value = "sshd";
        };
        description = "The arguments of the filter or action, as in the JSON manual.";
      };
      "then" = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "… ban";
        description = "The label of the chain where an entry goes after this step. `then` is a keyword of Nix: write it with quotes.";
      };
      "else" = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "other services";
        description = "The label of the chain where an entry goes that the filter does not let through. `else` is a keyword of Nix: write it with quotes.";
      };
    };
  };

  chain = types.submodule {
    options = {
      label = mkOption {
        type = types.str;
        example = "ssh";
        description = "The name of the chain, by which `then` and `else` find it. Each stands only once in a list of chains.";
      };
      steps = mkOption {
        type = types.listOf step;
        example = literalExpression ''
          [
            { filter = "filter_equals"; args = { field = "SYSLOG_IDENTIFIER"; value = "sshd"; }; }
            { action = "action_log"; args.message = "sshd: {MESSAGE}"; "then" = "… ban"; }
          ]
        '';
        description = "What happens to an entry in this chain, step by step.";
      };
    };
  };

  chains = mkOption {
    type = types.listOf chain;
    default = [ ];
    example = literalExpression ''
      [
        {
          label = "ssh";
          steps = [
            { filter = "filter_equals"; args = { field = "SYSLOG_IDENTIFIER"; value = "sshd"; }; }
            {
              filter = "filter_pcre";
              args = { field = "MESSAGE"; re = "^Failed password for .* from (?P<ip>[^ ]+)"; };
              "then" = "… ban";
            }
          ];
        }
        {
          label = "… ban";
          steps = [
            {
              action = "action_nftBan";
              args = { IP = "ip"; nftSetIPv4 = "inet filter ban4"; nftSetIPv6 = "inet filter ban6"; banSeconds = 86400; };
            }
          ];
        }
      ]
    '';
    description = ''
      The execution chains, in their order: an entry goes in at the first one, and to the next one where a step does not say otherwise.
      `then` and `else` are keywords of Nix, so they are written with quotes. `lib.mkBefore`, `lib.mkAfter` and `lib.mkOrder` place
      the chains of other modules. Chains that other modules may override or turn off belong in `services.pyruse.fragments`.
    '';
  };

  fragment = types.submodule {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        example = false;
        description = "Whether the fragment is used. With `false`, nothing is written; but a fragment of that name that comes with Pyruse is masked.";
      };
      inherit chains;
      settings = mkOption {
        type = jsonObject;
        default = { };
        example = {
          lists."ssh guesses".append = [ "^Connection closed by (?P<IP>[^ ]+) port [0-9]+ \\[preauth\\]$" ];
        };
        description = "All keys of the fragment but `actions`, which are `chains` here. A `null` takes back what earlier files have said.";
      };
      source = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = literalExpression "./site.json";
        description = "A file that is the fragment, as it is. It excludes `chains` and `settings`. A `storage` in it must be `settings.storage`. With `checkConfig`, the build has to read it: write the path without quotes.";
      };
    };
  };
in
{
  enable = mkOption {
    type = types.bool;
    default = false;
    example = true;
    description = "Whether Pyruse watches the journal of this machine, bans, and reports.";
  };

  package = mkOption {
    type = types.package;
    # Without an overlay it is built from the files beside this one.
    default = pkgs.pyruse or (pkgs.callPackage ./package.nix { });
    defaultText = literalExpression "pkgs.pyruse";
    example = literalExpression "pkgs.pyruse.overrideAttrs { patches = [ ./site.patch ]; }";
    description = "The Pyruse of all units, and of the check at build time. Its `lib/pyruse.d` has the fragments that come with Pyruse.";
  };

  settings = mkOption {
    type = types.submodule {
      freeformType = jsonObject;
      options = {
        email = mkOption {
          type = types.submodule {
            freeformType = jsonObject;
            options = {
              from = mkOption {
                type = types.nullOr types.str;
                default = null;
                example = "pyruse@example.org";
                description = "The sender of all mails. Without it, the sendmail program fills it in.";
              };
              to = mkOption {
                type = types.listOf types.str;
                default = [ ];
                example = [ "root@example.org" ];
                description = ''
                  The receivers. Without any, it is root where the machine has a mail server of its own: one whose sendmail is setuid or
                  setgid (`services.mail.sendmailSetuidWrapper`). Elsewhere, also with msmtp, there is no report, and its lines are kept
                  until there is somebody.
                '';
              };
              subject = mkOption {
                type = types.str;
                default = "Pyruse Report";
                example = "Report of mail.example.org";
                description = "The subject of the daily report.";
              };
              sendmail = mkOption {
                type = types.listOf types.str;
                default = [
                  "/run/wrappers/bin/sendmail"
                  "-t"
                ];
                example = [
                  "/run/current-system/sw/bin/msmtp"
                  "-t"
                ];
                description = ''
                  The program that takes the mail on its standard input, and its arguments. The sandbox of the unit keeps a setuid or
                  setgid program from raising its rights; for mail to a server, see `smtp` in the JSON manual.
                '';
              };
            };
          };
          default = { };
          example = literalExpression ''
            {
              from = "pyruse@example.org";
              to = [ "root@example.org" ];
              smtp = { host = "mail.example.org"; username = "pyruse"; passwordCredential = "smtp-password"; };
            }
          '';
          description = "Mail: who sends it to whom, and how.";
        };
        storage = mkOption {
          type = types.str;
          default = "/var/lib/pyruse";
          example = "/srv/pyruse";
          description = ''
            The folder with the state. Another one than the default is made, and made writable in the units. It must be one that the
            sandbox leaves open and that stays, such as one in `/srv`, `/mnt` or `/var/lib`.
          '';
        };
        debug = mkOption {
          type = types.bool;
          default = false;
          example = true;
          description = "Has no effect; it is there because Pyruse 2 had it.";
        };
      };
    };
    default = { };
    example = literalExpression ''
      {
        email = { from = "pyruse@example.org"; to = [ "root@example.org" ]; };
        neverBan = [ "192.0.2.0/28" ];
        report.at = "07:00";
      }
    '';
    description = "All of `pyruse.json` but `actions`: see pyruse.json(5). The chains stand in `services.pyruse.chains`.";
  };

  inherit chains;

  fragments = mkOption {
    type = types.attrsOf fragment;
    default = { };
    example = literalExpression ''
      {
        "50-site".source = ./site.json;
        # no reports of other modules' chains, and no rules for ssh
        "90-report".enable = false;
        "50-ssh".enable = false;
      }
    '';
    description = ''
      Files in `/etc/pyruse.d`, by their names without `.json`; they apply in the order of their names. The fragments that come with
      Pyruse apply, too; one of the same name replaces them, and `enable = false` masks them.
    '';
  };

  configFile = mkOption {
    type = types.nullOr types.path;
    default = null;
    example = literalExpression "./pyruse.json";
    description = ''
      A whole `pyruse.json`, taken byte for byte, such as one of Pyruse 2. It excludes `chains` and all `settings`: Nix cannot read
      such a file in its order. A `storage` in it must be `/var/lib/pyruse`, for which the units are made. With `checkConfig`, the
      build has to read it: write the path without quotes.
    '';
  };

  boot.modules = mkOption {
    type = types.listOf (types.strMatching "action_[A-Za-z0-9]+");
    default = [ "action_nftBan" ];
    example = [
      "action_nftBan"
      "action_ipsetBan"
    ];
    description = "The actions whose bans are put back at boot, before the network is up. With `[ ]`, the daemon does so when it starts.";
  };

  credentials = mkOption {
    type = types.attrsOf types.externalPath;
    default = { };
    example = {
      smtp-password = "/run/secrets/pyruse-smtp";
    };
    description = ''
      Files with secrets, outside the store, which systemd hands to the daemon (`LoadCredential=`). A setting such as
      `email.smtp.passwordCredential` names one of them. Settings with a secret, or with a file in the store that has one, are refused.
    '';
  };

  checkConfig = mkOption {
    type = types.bool;
    default = true;
    example = false;
    description = "Whether `pyruse check` looks at all files when the system is built, and stops it where they have errors. When cross compiling, it cannot.";
  };
}
