// Package schema holds the published JSON Schemas (draft 2020-12) of the configuration: one for the main
// file, one for drop-in fragments. They are what editors check and complete with, and what the loader validates with.
package schema

import (
	"bytes"
	_ "embed"
)

// Version is the version of the language that the schemas describe; it is part of their $id.
const Version = "3.0"

// The $id of the schemas. They are names, not addresses: nothing is to be fetched.
const (
	MainID     = "urn:pyruse:schema:" + Version + ":config"
	FragmentID = "urn:pyruse:schema:" + Version + ":fragment"
)

//go:embed pyruse.schema.json
var mainFile []byte

// fragmentFile lacks $defs: see Fragment.
//
//go:embed fragment.schema.json
var fragmentFile []byte

// Main returns the schema of the main file, pyruse.json.
func Main() []byte { return bytes.Clone(mainFile) }

// Fragment returns the schema of a drop-in fragment. An editor must not need the network, so the
// document holds all that it refers to. Yet both schemas share their definitions, so these
// are kept in one place only: the $defs, the last key of the main schema, become the last key of this one. That is
// done with the text, and so what is printed looks as it was written; a generated second copy would have
// to be kept in step.
func Fragment() []byte {
	head := bytes.TrimSuffix(fragmentFile, []byte("\n}\n"))
	_, defs, _ := bytes.Cut(mainFile, []byte("\n  \"$defs\": "))
	return bytes.Join([][]byte{head, defs}, []byte(",\n  \"$defs\": "))
}
