package nix

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type buildArguments struct {
	Pname, Version, Src, VendorHash, InstallPhase, PostFixup string
	Ldflags, Tags, BuildInputs                               []string
	Meta                                                     struct {
		Description, Homepage, MainProgram string
		License                            struct{ SpdxID string }
		Platforms                          []string
	}
}

type buildResult struct {
	Package, CrossPackage buildArguments
	Source                []string
	Tests                 map[string]struct {
		Name, TestScript, Command string
		Nodes                     []string
	}
	Flake struct {
		Outputs, Systems, Checks, Overlay []string
		ExecStart                         string
	}
	Module struct{ Alone, Overlaid string }
}

func evaluateBuild(t *testing.T, lib string) buildResult {
	t.Helper()
	out, err := evaluateFile(lib, "tests/build.nix")
	if err != nil {
		t.Fatal(err)
	}
	var result buildResult
	decode(t, out, &result)
	return result
}

func TestPackage(t *testing.T) {
	for name, lib := range libs(t) {
		t.Run(name, func(t *testing.T) {
			got := evaluateBuild(t, lib).Package

			changes, err := os.ReadFile("../CHANGELOG.md")
			if err != nil {
				t.Fatal(err)
			}
			version := regexp.MustCompile(`(?m)^## \[([0-9.]+)\]`).FindSubmatch(changes)
			if version == nil || got.Version != string(version[1]) {
				t.Errorf("the version is %s, and the newest of CHANGELOG.md is %s", got.Version, version)
			}
			if !slices.Equal(got.Tags, []string{"libsqlite3"}) || len(got.BuildInputs) != 2 {
				t.Errorf("tags %q, inputs %q", got.Tags, got.BuildInputs)
			}
			if flags := strings.Join(got.Ldflags, " "); !strings.Contains(flags, "-X main.version="+got.Version+" ") ||
				!regexp.MustCompile(`config\.VendorDir=/[a-z0-9]+/lib/pyruse\.d$`).MatchString(flags) {
				t.Errorf("ldflags: %s", flags)
			}
			if meta := got.Meta; meta.Description == "" || meta.Homepage == "" || meta.MainProgram != "pyruse" ||
				meta.License.SpdxID != "GPL-3.0-or-later" || !slices.Contains(meta.Platforms, "aarch64-linux") {
				t.Errorf("meta: %+v", meta)
			}
			if !strings.Contains(got.PostFixup, "--add-rpath /nix/store/systemd/lib") {
				t.Errorf("libsystemd is not found at run time: %s", got.PostFixup)
			}
		})
	}
}

// The source of a build is what source.nix says, and a change of anything else does not build anew.
func TestSourceOfPackage(t *testing.T) {
	for name, lib := range libs(t) {
		t.Run(name, func(t *testing.T) {
			result := evaluateBuild(t, lib)
			if diff := cmp.Diff(filesBelow(t, neededFiles(t, result.Source)), filesBelow(t, result.Package.Src)); diff != "" {
				t.Errorf("source.nix names other files than the source of the package has:\n%s", diff)
			}
		})
	}
}

// The vendored modules have the hash that package.nix says. Where this fails, it says what to write there.
func TestVendorHash(t *testing.T) {
	result := evaluateBuild(t, libs(t)["small lib"])
	source := neededFiles(t, result.Source)
	vendor := exec.Command("go", "mod", "vendor")
	vendor.Dir = source
	vendor.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := vendor.CombinedOutput(); err != nil {
		t.Fatalf("go mod vendor: %v\n%s", err, out)
	}
	out, err := command("nix", "hash", "path", filepath.Join(source, "vendor"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)); result.Package.VendorHash != want {
		t.Errorf("vendorHash in package.nix is %s; of these modules it is\n    vendorHash = %q;", result.Package.VendorHash, want)
	}
}

// installPhase is run as it is, with what buildGoModule gives to it.
func TestInstallPhase(t *testing.T) {
	result := evaluateBuild(t, libs(t)["small lib"])
	gopath, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	if err := os.MkdirAll(filepath.Join(gopath, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(pyruse(t), "bin", "pyruse"), filepath.Join(gopath, "bin", "pyruse")); err != nil {
		t.Fatal(err)
	}
	script := strings.ReplaceAll(result.Package.InstallPhase, "/nix/store/build-bash", "/")
	install := exec.Command("bash", "-euc", "runHook() { :; }\n"+script)
	install.Dir = neededFiles(t, result.Source)
	install.Env = append(os.Environ(), "GOPATH="+gopath, "out="+out)
	if told, err := install.CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, told)
	}
	for _, file := range []string{
		"bin/pyruse", "lib/pyruse.d/50-ssh.json", "lib/systemd/system/pyruse.service", "lib/systemd/system/pyruse-boot@.service",
		"share/man/man8/pyruse.8", "share/man/man5/pyruse.json.5", "share/pyruse/pyruse.schema.json",
		"share/bash-completion/completions/pyruse",
	} {
		if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	unit, err := os.ReadFile(filepath.Join(out, "lib/systemd/system/pyruse.service"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "\nExecStart="+out+"/bin/pyruse run\n") || !strings.Contains(string(unit), "\nType=notify-reload\n") {
		t.Errorf("the unit is not the one of this package:\n%s", unit)
	}
}

// A program for another machine cannot say its schemas; one for this machine does.
func TestCrossCompiledPackage(t *testing.T) {
	got := evaluateBuild(t, libs(t)["small lib"]).CrossPackage.InstallPhase
	if !strings.Contains(got, `BIN="/nix/store/pyruse/bin/pyruse"`) || !strings.Contains(got, `install -m 0755 "$GOPATH/bin/pyruse" "$out/bin/pyruse"`) {
		t.Errorf("installPhase: %s", got)
	}
}

func TestFlake(t *testing.T) {
	for name, lib := range libs(t) {
		t.Run(name, func(t *testing.T) {
			got := evaluateBuild(t, lib).Flake
			if !slices.Equal(got.Outputs, []string{"checks", "nixosModules", "overlays", "packages"}) ||
				!slices.Equal(got.Systems, []string{"aarch64-linux", "x86_64-linux"}) || !slices.Equal(got.Overlay, []string{"pyruse"}) {
				t.Errorf("flake: %+v", got)
			}
			if want := []string{"ban", "flush", "mail", "package", "reboot", "switch", "version"}; !slices.Equal(got.Checks, want) {
				t.Errorf("checks: %q, want %q", got.Checks, want)
			}
			if got.ExecStart != "/nix/store/pyruse/bin/pyruse run" {
				t.Errorf("without an overlay, the daemon is %q", got.ExecStart)
			}
		})
	}
}

// Without the flake, and without a package in nixpkgs, the module builds its own.
func TestModuleWithoutFlake(t *testing.T) {
	for name, lib := range libs(t) {
		got := evaluateBuild(t, lib).Module
		if got.Alone != "/nix/store/pyruse/bin/pyruse run" || got.Overlaid != "/nix/store/overlaid/bin/pyruse run" {
			t.Errorf("%s: the daemon is %q, with an overlay %q", name, got.Alone, got.Overlaid)
		}
	}
}

// The page for administrators says which NixOS it takes, as that has the Go of go.mod.
func TestPageNamesGo(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/tasks/nixos.md")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if version == nil || !strings.Contains(string(page), "Go "+string(version[1])+".") {
		t.Errorf("docs/tasks/nixos.md does not name the Go of go.mod: %s", version)
	}
}

// The machines of the tests cannot run here; what can be seen is that each is a test, and that its script is Python.
func TestMachines(t *testing.T) {
	result := evaluateBuild(t, libs(t)["small lib"])
	for name, test := range result.Tests {
		if name == "version" {
			continue
		}
		if len(test.Nodes) == 0 || test.Name != "pyruse-"+name {
			t.Errorf("%s is no test: %+v", name, test)
		}
		compile := exec.Command("python3", "-c", "import sys; compile(sys.stdin.read(), sys.argv[1], 'exec')", name)
		compile.Stdin = strings.NewReader(test.TestScript)
		if out, err := compile.CombinedOutput(); err != nil {
			t.Errorf("%s: the script is not Python: %v\n%s", name, err, out)
		}
	}
	if len(result.Tests) != 6 {
		t.Errorf("there are %d tests, want 6", len(result.Tests))
	}
}

// neededFiles copies what source.nix names into a folder.
func neededFiles(t *testing.T, names []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		from, to := filepath.Join("..", name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatalf("source.nix names what is not there: %v", err)
		}
		if info.IsDir() {
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
