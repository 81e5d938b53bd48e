# What of the repository a build of Pyruse needs. A change of anything else, such as this folder, builds nothing anew. The hash of
# the vendored modules depends on it, too: see vendorHash in package.nix.
[
  "Makefile"
  "cmd/pyruse"
  "docs/man"
  "go.mod"
  "go.sum"
  "internal"
  "schema"
]
