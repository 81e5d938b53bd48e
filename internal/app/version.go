package app

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
)

// PrintVersion prints the version of the program, and what it was built with.
func PrintVersion(w io.Writer, version string, format Format) error {
	if format == JSON {
		return json.NewEncoder(w).Encode(struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			Arch    string `json:"arch"`
		}{version, runtime.Version(), runtime.GOARCH})
	}
	_, err := fmt.Fprintf(w, "pyruse %s (%s, %s)\n", version, runtime.Version(), runtime.GOARCH)
	return err
}
