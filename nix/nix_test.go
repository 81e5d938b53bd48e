// Package nix has no code of its own: its tests evaluate the NixOS module, the package and the flake of this folder with the real
// Nix, but without nixpkgs. Strict stand-ins for the options of NixOS are in tests/stub.
package nix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scratch is a Nix store of our own, and the places of what the tests build.
type scratch struct {
	dir string
	env []string
}

var room scratch

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pyruse-nix-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a folder for the Nix store:", err)
		return 1
	}
	defer removeStore(dir)
	room = scratch{dir: dir, env: os.Environ()}
	for name, folder := range map[string]string{
		"NIX_STORE_DIR": "store", "NIX_STATE_DIR": "state", "NIX_LOG_DIR": "log", "NIX_CONF_DIR": "conf",
		"NIX_LOCALSTATE_DIR": "var", "XDG_CACHE_HOME": "cache",
	} {
		room.env = append(room.env, name+"="+filepath.Join(dir, folder))
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			fmt.Fprintln(os.Stderr, "make a folder for the Nix store:", err)
			return 1
		}
	}
	conf := "build-users-group =\nsandbox = false\nsubstitute = false\nexperimental-features = nix-command flakes\n"
	if err := os.WriteFile(filepath.Join(dir, "conf", "nix.conf"), []byte(conf), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "write nix.conf:", err)
		return 1
	}
	if os.Getenv("NIXPKGS_LIB") == "" {
		unchecked, err := os.ReadFile("tests/unchecked.txt")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if _, err := os.Stdout.Write(unchecked); err != nil {
			return 1
		}
	}
	return m.Run()
}

// removeStore also removes what Nix has made read-only.
func removeStore(dir string) {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return err
	})
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "remove the Nix store of the tests:", err)
	}
}

// command runs a program of Nix and gives what it says on standard output, or an error with what it says on standard error.
func command(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = room.env
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s (Debian: nix-bin): %w\n%s", name, err, told.Bytes())
	}
	return out.Bytes(), nil
}

// libs are the libs that everything is evaluated with, by name: the small one, and the one of nixpkgs where there is one.
func libs(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"small lib": absolute(t, "tests/stub/lib.nix")}
	if given := os.Getenv("NIXPKGS_LIB"); given != "" {
		if _, err := os.Stat(filepath.Join(given, "lib", "modules.nix")); err == nil {
			given = filepath.Join(given, "lib")
		}
		if _, err := os.Stat(filepath.Join(given, "modules.nix")); err != nil {
			t.Fatalf("NIXPKGS_LIB names no lib of nixpkgs: %v", err)
		}
		all["lib of nixpkgs"] = absolute(t, given)
	}
	return all
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func evaluateFile(lib, file string, args ...string) ([]byte, error) {
	return command("nix-instantiate", append([]string{"--eval", "--strict", "--json", "--read-write-mode",
		"--arg", "libPath", lib, file}, args...)...)
}

// evaluateAll evaluates a file with all libs, which must give the same, and puts the value into v.
func evaluateAll(t *testing.T, v any, file string, args ...string) {
	t.Helper()
	first := ""
	for name, lib := range libs(t) {
		out, err := evaluateFile(lib, file, args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if first != "" {
			if diff := cmp.Diff(first, string(out)); diff != "" {
				t.Fatalf("the libs make different things of it:\n%s", diff)
			}
		}
		first = string(out)
	}
	decode(t, []byte(first), v)
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("read what Nix has evaluated: %v\n%s", err, text)
	}
}

// built is a package as package.nix lays it out: the program, and the rules that come with it.
var built = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(room.dir, "pyruse")
	rules := filepath.Join(dir, "lib", "pyruse.d")
	build := exec.Command("go", "build", "-trimpath", "-tags", "libsqlite3", "-o", filepath.Join(dir, "bin", "pyruse"),
		"-ldflags", "-X github.com/pyruse/pyruse/internal/config.VendorDir="+rules, "../cmd/pyruse")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pyruse: %w\n%s", err, out)
	}
	return dir, os.CopyFS(rules, os.DirFS("../cmd/pyruse/rules"))
})

func pyruse(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEveryFileIsNix(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.nix", "tests/*.nix", "tests/stub/*.nix"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 15 {
		t.Fatalf("only %d files were found: %s", len(files), strings.Join(files, " "))
	}
	for _, file := range files {
		// Go must know what the result depends on: what only Nix reads, it would not see change, and would take a kept result.
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if _, err := command("nix-instantiate", "--parse", file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
