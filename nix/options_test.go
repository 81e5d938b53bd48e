package nix

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// The examples of the page for administrators are sound.
func TestExamplesOfTheTaskPage(t *testing.T) {
	page, err := os.ReadFile("../docs/tasks/nixos.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site.json"), []byte(`{ "neverBan": [ "192.0.2.0/28" ] }`), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```nix\n(.*?)\n```\n").FindAllStringSubmatch(string(page), -1)
	evaluated := 0
	for i, block := range blocks {
		file := filepath.Join(dir, fmt.Sprintf("example-%d.nix", i))
		if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(block[1], "outputs =") {
			if _, err := command("nix-instantiate", "--parse", file); err != nil {
				t.Errorf("%s:\n%v", block[1], err)
			}
			continue
		}
		evaluate(t, `{ imports = [ `+file+` ]; services.pyruse.enable = true; }`).mustPass(t)
		evaluated++
	}
	if evaluated < 5 {
		t.Errorf("only %d examples were evaluated", evaluated)
	}
}

// So are the examples of the options themselves.
func TestExamplesOfTheOptions(t *testing.T) {
	var options []option
	evaluateAll(t, &options, "tests/docs.nix")
	dir := t.TempDir()
	for _, file := range []string{"site.json", "pyruse.json"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("{ }"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for i, option := range options {
		// what stands below <name> and * is a part of another example; a package of nixpkgs is not there
		if strings.ContainsAny(option.Name, "<*") || option.Name == "services.pyruse.package" {
			continue
		}
		file := filepath.Join(dir, fmt.Sprintf("option-%d.nix", i))
		if err := os.WriteFile(file, []byte("{ "+option.Name+" = "+option.Example+"; }"), 0o600); err != nil {
			t.Fatal(err)
		}
		enable := "services.pyruse.enable = true;"
		if option.Name == "services.pyruse.enable" {
			enable = ""
		}
		got := evaluate(t, `{ imports = [ `+file+` ]; `+enable+` }`)
		if len(got.Refusals) != 0 {
			t.Errorf("%s: the example is refused: %q", option.Name, got.Refusals)
		} else if len(got.Checks) != 0 {
			if out, err := got.check(t); err != nil {
				t.Errorf("%s: pyruse check: %v\n%s", option.Name, err, out)
			}
		}
		tried++
	}
	if tried < 12 {
		t.Errorf("only %d examples were tried", tried)
	}
}
