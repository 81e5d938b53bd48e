package nix

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/reference/nixos-options.md anew")

const optionsPage = "../docs/reference/nixos-options.md"

type option struct{ Name, Type, Default, Example, Description string }

// The page of the options is made of the options: go test ./nix -run TestOptionsPage -update
func TestOptionsPage(t *testing.T) {
	var options []option
	evaluateAll(t, &options, "tests/docs.nix")
	for _, option := range options {
		if strings.TrimSpace(option.Description) == "" {
			t.Errorf("%s has no description", option.Name)
		}
		if option.Example == "" {
			t.Errorf("%s has no example", option.Name)
		}
	}
	page := renderOptions(options)
	if *update {
		if err := os.WriteFile(optionsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(optionsPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(have)); diff != "" {
		t.Errorf("the page is not current; write it anew with go test ./nix -run TestOptionsPage -update\n%s", diff)
	}
}

func renderOptions(options []option) string {
	var page strings.Builder
	page.WriteString("# Options of the NixOS module\n\n" +
		"This page is made of `nix/options.nix`. How to use them: [Pyruse on NixOS](../tasks/nixos.md).\n")
	for _, option := range options {
		fmt.Fprintf(&page, "\n## `%s`\n\n%s\n\nType: %s\n", option.Name, strings.TrimSpace(option.Description), option.Type)
		for _, x := range []struct{ title, code string }{{"Default", option.Default}, {"Example", option.Example}} {
			switch code := strings.TrimSpace(x.code); {
			case code == "":
			case strings.Contains(code, "\n"):
				fmt.Fprintf(&page, "\n%s:\n\n```nix\n%s\n```\n", x.title, code)
			default:
				fmt.Fprintf(&page, "\n%s: `%s`\n", x.title, code)
			}
		}
	}
	return page.String()
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("read what Nix has evaluated: %v\n%s", err, text)
	}
}
