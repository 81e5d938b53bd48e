package app

import (
	"io"

	"github.com/pyruse/pyruse/schema"
)

// PrintSchema prints the JSON Schema of the main file, or that of drop-in fragments.
func PrintSchema(w io.Writer, fragment bool) error {
	text := schema.Main()
	if fragment {
		text = schema.Fragment()
	}
	_, err := w.Write(text)
	return err
}
