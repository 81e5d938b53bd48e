// Package ansible has the tests of the collection in this folder. They run the role in a folder that looks like a machine.
package ansible

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// need fails the test where it cannot be run.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("this test needs %s: %v", program, err)
		}
	}
}

// output runs a program in this folder; it has to succeed.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// programs is the folder of what build builds.
var programs string

func TestMain(m *testing.M) { os.Exit(inFolder(m.Run)) }

func inFolder(run func() int) int {
	folder, err := os.MkdirTemp("", "pyruse-ansible")
	if err != nil {
		panic(err)
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil {
			panic(err)
		}
	}()
	programs = folder
	return run()
}

// build returns the path of the program, which is built once for all tests. Beside it is another build of it, pyruse-newer.
func build(t *testing.T) string {
	t.Helper()
	need(t, "go")
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var built = sync.OnceValues(func() (string, error) {
	program := filepath.Join(programs, "pyruse")
	if out, err := exec.Command("go", "build", "-trimpath", "-tags", "libsqlite3", "-o", program, "../cmd/pyruse").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	// What follows the sections of a program is never read.
	return program, os.WriteFile(program+"-newer", append(content, "newer"...), 0o755)
})

func TestLinters(t *testing.T) {
	need(t, "ansible-playbook", "ansible-lint", "yamllint")
	output(t, "ansible-playbook", "--syntax-check", "-i", "inventory.example.yml", "playbooks/example.yml")
	output(t, "yamllint", "--strict", ".")
	lint := output(t, "ansible-lint", "--offline", "--nocolor", "--strict", "--profile", "production")
	if !strings.Contains(lint, "Passed with production profile: 0 failure(s), 0 warning(s)") {
		t.Errorf("ansible-lint says:\n%s", lint)
	}
}

// Whoever copies an example has a configuration without a fault.
func TestExamplesAreValid(t *testing.T) {
	need(t, "python3")
	program := build(t)
	page := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(readFile(t, "../docs/tasks/ansible.md"), -1)
	examples := map[string]string{"playbooks/example.yml": readFile(t, "playbooks/example.yml")}
	for _, block := range page {
		if strings.Contains(block[1], "pyruse_fragments:") {
			examples["the page"] = block[1]
		}
	}
	if len(examples) != 2 {
		t.Fatal("the page has no example")
	}
	for name, playbook := range examples {
		var plays []struct {
			Vars struct {
				Config    json.RawMessage            `json:"pyruse_config"`
				Fragments map[string]json.RawMessage `json:"pyruse_fragments"`
			} `json:"vars"`
		}
		text := output(t, "python3", "-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))", playbook)
		if err := json.Unmarshal([]byte(text), &plays); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(plays) != 1 || len(plays[0].Vars.Fragments) == 0 {
			t.Fatalf("%s has no fragments: %s", name, text)
		}
		folder := t.TempDir()
		main := filepath.Join(t.TempDir(), "pyruse.json")
		files := map[string]json.RawMessage{main: plays[0].Vars.Config}
		for fragment, content := range plays[0].Vars.Fragments {
			files[filepath.Join(folder, fragment+".json")] = content
		}
		for path, content := range files {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		output(t, program, "check", "--strict", "--config", main, "--config-dir", "../cmd/pyruse/rules", "--config-dir", folder)
	}
}

// What the role takes is told in three places.
func TestOptionsAreDescribed(t *testing.T) {
	names := func(path, pattern string) []string {
		var names []string
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(readFile(t, path), -1) {
			names = append(names, match[1])
		}
		slices.Sort(names)
		return names
	}
	defaults := names("roles/pyruse/defaults/main.yml", `(?m)^([a-z]\w*):`)
	if len(defaults) == 0 {
		t.Fatal("there are no defaults")
	}
	if diff := cmp.Diff(defaults, names("roles/pyruse/meta/argument_specs.yml", `(?m)^      ([a-z]\w*):$`)); diff != "" {
		t.Errorf("the specification has other options than the defaults:\n%s", diff)
	}
	if diff := cmp.Diff(defaults, names("../docs/tasks/ansible.md", "(?m)^\\| `(pyruse_\\w+)` \\|")); diff != "" {
		t.Errorf("the page has other options than the defaults:\n%s", diff)
	}
}

// The units and the rules are those of the repository, all of them, and a built collection has them as files.
func TestFilesAreThoseOfTheRepository(t *testing.T) {
	need(t, "ansible-galaxy")
	want := map[string]string{"pyruse.json": "../cmd/pyruse/pyruse.json", "systemd/network.conf": "../cmd/pyruse/systemd/drop-ins/network.conf"}
	for folder, pattern := range map[string]string{
		"systemd": "../cmd/pyruse/systemd/pyruse*", "rules": "../cmd/pyruse/rules/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("nothing is at %s: %v", pattern, err)
		}
		for _, path := range paths {
			want[folder+"/"+filepath.Base(path)] = path
		}
	}
	const files = "roles/pyruse/files"
	got := map[string]string{}
	err := filepath.WalkDir(files, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Type()&fs.ModeSymlink == 0 {
			t.Errorf("%s is a copy", path)
		}
		target, err := filepath.EvalSymlinks(path)
		name, _ := filepath.Rel(files, path)
		got[name] = target
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the files of the role are not those of the repository:\n%s", diff)
	}

	out := t.TempDir()
	output(t, "ansible-galaxy", "collection", "build", "--output-path", out)
	packed := unpack(t, filepath.Join(out, "pyruse-pyruse-3.0.0.tar.gz"))
	for name, path := range want {
		if packed[files+"/"+name] != readFile(t, path) {
			t.Errorf("the built collection lacks %s", name)
		}
	}
	for name := range packed {
		if regexp.MustCompile(`^testdata/|_test\.go$|lint$|\.cfg$`).MatchString(name) {
			t.Errorf("the built collection has %s, which is for this repository", name)
		}
	}
}

// unpack returns the contents of the regular files in a tarball.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(strings.NewReader(readFile(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			contents[header.Name] = string(content)
		}
	}
}

// vars are the options of the role for one run.
type vars map[string]any

// machine is a folder that the role takes for the machine on which it runs.
type machine struct {
	root    string
	program string // the path of pyruse on the controller
	newer   string // that of another build of it
}

func newMachine(t *testing.T) machine {
	t.Helper()
	need(t, "ansible-playbook", "unshare")
	program := build(t)
	m := machine{root: filepath.Join(t.TempDir(), "root"), program: program, newer: program + "-newer"}
	output(t, "testdata/sandbox.sh", "make", m.root)
	return m
}

func (m machine) path(path string) string { return filepath.Join(m.root, path) }

func (m machine) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(path), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// files returns what is in the folders that the role writes to: contents, targets of links, and modes.
func (m machine) files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, folder := range []string{"etc", "usr", "tmp", "var"} {
		err := filepath.WalkDir(m.path(folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasPrefix(path, m.path("var/lib/systemctl")) {
				return nil
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			what := info.Mode().String()
			switch {
			case entry.Type()&fs.ModeSymlink != 0:
				target, err := os.Readlink(path)
				if err != nil {
					return err
				}
				what += " -> " + target
			case entry.Type().IsRegular():
				content, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				what += " " + string(content)
			}
			found[strings.TrimPrefix(path, m.root)] = what
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// result is what came of a run.
type result struct {
	out  string
	err  error
	done []string // what systemctl was asked to do
}

// changed are the tasks that have changed something.
func (r result) changed() []string {
	var tasks []string
	task := ""
	for line := range strings.Lines(r.out) {
		if match := regexp.MustCompile(`^(?:TASK|RUNNING HANDLER) \[pyruse : (.*?)\]`).FindStringSubmatch(line); match != nil {
			task = match[1]
		}
		if strings.HasPrefix(line, "changed: ") && !slices.Contains(tasks, task) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

func (m machine) run(t *testing.T, v vars, args ...string) result {
	t.Helper()
	return m.play(t, "play.yml", v, args...)
}

// play runs a playbook of testdata.
func (m machine) play(t *testing.T, play string, v vars, args ...string) result {
	t.Helper()
	all := vars{"pyruse_binary": "/host" + m.program, "ansible_python_interpreter": "/usr/bin/python3"}
	for name, value := range v {
		all[name] = value
	}
	content, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "root/vars.json", string(content))
	const done = "var/lib/systemctl/done"
	m.write(t, done, "")
	command := exec.Command("testdata/sandbox.sh", append([]string{"run", m.root,
		"sh", "-euc", `cd "$0" && exec ansible-playbook -i localhost, -e @/root/vars.json "$@"`, "/host" + here, "testdata/" + play}, args...)...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{out: out.String(), err: err, done: strings.Split(strings.TrimSuffix(readFile(t, m.path(done)), "\n"), "\n")}
	if r.done[0] == "" {
		r.done = nil
	}
	m.write(t, done, "")
	return r
}

// succeeds runs the role.
func (m machine) succeeds(t *testing.T, v vars, args ...string) result {
	t.Helper()
	r := m.run(t, v, args...)
	if r.err != nil {
		t.Fatalf("the run fails:\n%s", r.out)
	}
	return r
}

// changesNothing runs the role again.
func (m machine) changesNothing(t *testing.T, v vars) {
	t.Helper()
	before := m.files(t)
	r := m.succeeds(t, v)
	if !strings.Contains(r.out, " changed=0 ") || r.done != nil {
		t.Errorf("a second run changes %q, and has systemctl do %q:\n%s", r.changed(), r.done, r.out)
	}
	if diff := cmp.Diff(before, m.files(t)); diff != "" {
		t.Errorf("a second run changes files:\n%s", diff)
	}
}

func wantDone(t *testing.T, r result, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, r.done); diff != "" {
		t.Errorf("systemctl was to do something else:\n%s\n%s", diff, r.out)
	}
}

func wantText(t *testing.T, m machine, path, want string) {
	t.Helper()
	if diff := cmp.Diff(want, readFile(t, m.path(path))); diff != "" {
		t.Errorf("%s:\n%s", path, diff)
	}
}

const header = "// Ansible puts this file here: changes that are made here are overwritten.\n"

// calls has a chain that leads to one of called. Its name comes first, and so it is written first.
const (
	calls  = `{"actions": {"z": [{"action": "action_noop", "then": "a"}], "b": [{"action": "action_noop"}]}}` + "\n"
	called = `{"actions": {"a": {"order": 600, "jump": true, "steps": [{"action": "action_noop"}]}}}` + "\n"
)

func TestFirstRun(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	v := vars{
		"pyruse_config": json.RawMessage(`{"neverBan": ["192.0.2.0/24"], "email": {"to": ["root@example.org", "Zoë <zoe@example.org>"], "from": "p@example.org",
			"smtp": {"host": "mail.example.org", "username": "p", "passwordCredential": "mail"}}}`),
		// The last one needs the rules that come with the program.
		"pyruse_fragments": vars{"60-calls": calls, "70-called": called, "80-ssh": `{"actions": {"s": {"order": 600, "steps": [{"action": "action_noop", "then": "ssh: ban"}]}}}`},
		"pyruse_masked":    []string{"90-report"},
		// Before ansible-core 2.19, what comes from a template and looks like a list becomes one, unless it says that it is a string.
		"pyruse_credentials": vars{"mail": `{"open": "sesame"}`, "number": 424243, "list": "{{ secret | string }}"},
		"secret":             `["sesame", 1]`,
	}

	t.Log("a fault is told before anything is there, in check mode and in earnest, and nothing is there afterwards")
	before := m.files(t)
	for _, args := range [][]string{{"--check"}, nil} {
		r := m.run(t, vars{"pyruse_fragments": vars{"60-calls": calls}}, args...)
		if r.err == nil || !strings.Contains(r.out, "/etc/pyruse.d/60-calls.json:1:") {
			t.Errorf("it is not, with %q:\n%s", args, r.out)
		}
		if diff := cmp.Diff(before, m.files(t)); diff != "" {
			t.Errorf("a refused run changes files, with %q:\n%s", args, diff)
		}
	}

	t.Log("in check mode, nothing is there, and nothing is there afterwards")
	r := m.run(t, v, "--check", "--diff", "-vvv")
	if r.err != nil {
		t.Fatalf("it fails:\n%s", r.out)
	}
	if diff := cmp.Diff(before, m.files(t)); diff != "" {
		t.Errorf("check mode changes files:\n%s", diff)
	}
	wantDone(t, r)
	for _, want := range []string{
		`+  "neverBan": [`, `+LoadCredential=mail:/etc/pyruse/credentials/mail`, "+" + strings.TrimSuffix(calls, "\n"), "+IPAddressDeny=",
		"These units would be enabled, and the first one started: pyruse, pyruse-boot@action_nftBan",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("check mode does not show %q:\n%s", want, r.out)
		}
	}
	wantNoSecrets(t, r)

	t.Log("in earnest")
	r = m.succeeds(t, v, "--diff", "-vvv")
	wantNoSecrets(t, r)
	wantDone(t, r, "start pyruse.service", "enable pyruse.service", "enable pyruse-boot@action_nftBan.service")
	wantText(t, m, "etc/pyruse/pyruse.json", header+`{
  "neverBan": [
    "192.0.2.0/24"
  ],
  "email": {
    "to": [
      "root@example.org",
      "Zoë <zoe@example.org>"
    ],
    "from": "p@example.org",
    "smtp": {
      "host": "mail.example.org",
      "username": "p",
      "passwordCredential": "mail"
    }
  }
}
`)
	wantText(t, m, "etc/pyruse.d/60-calls.json", calls)
	wantText(t, m, "etc/pyruse/credentials/mail", `{"open": "sesame"}`)
	wantText(t, m, "etc/pyruse/credentials/number", "424243")
	wantText(t, m, "etc/pyruse/credentials/list", `["sesame", 1]`)
	files := m.files(t)
	for path, mode := range map[string]string{
		"/etc/pyruse/credentials": "drwx------", "/etc/pyruse/credentials/mail": "-rw------- ", "/etc/pyruse.d/90-report.json": "Lrwxrwxrwx -> /dev/null",
		"/usr/bin/pyruse": "-rwxr-xr-x ", "/etc/pyruse/pyruse.json": "-rw-r--r-- ",
	} {
		if !strings.HasPrefix(files[path], mode) {
			t.Errorf("%s: %.40q, want %q", path, files[path], mode)
		}
	}
	if !strings.Contains(files["/etc/passwd"], "\npyruse:") {
		t.Error("there is no user pyruse")
	}
	for path := range files {
		if strings.HasPrefix(path, "/tmp/") {
			t.Errorf("%s stays", path)
		}
	}

	wantAsMade(t, m, "no")

	t.Log("again")
	m.changesNothing(t, v)
}

func wantNoSecrets(t *testing.T, r result) {
	t.Helper()
	for _, secret := range []string{"sesame", "424243"} {
		if at := strings.Index(r.out, secret); at >= 0 {
			t.Errorf("the output shows a secret: %q", r.out[max(0, at-200):at+20])
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := m.succeeds(t, vars{"pyruse_fragments": vars{"60-calls": calls, "70-called": called}})
	wantText(t, m, "etc/pyruse/pyruse.json", readFile(t, "../cmd/pyruse/pyruse.json"))
	wantDone(t, r, "start pyruse.service", "enable pyruse.service", "enable pyruse-boot@action_nftBan.service")

	t.Log("a fragment of somebody else stays, also one with a fault; and so does a main file that was changed")
	m.write(t, "etc/pyruse.d/10-theirs.json", "{")
	m.write(t, "etc/pyruse/pyruse.json", `{"neverBan": []}`)
	r = m.succeeds(t, vars{"pyruse_fragments": vars{"80-objects": json.RawMessage(`{"x-z": 1, "x-a": 2, "actions": [{"label": "l", "steps": []}]}`)}})
	wantDone(t, r, "reload pyruse.service")
	for path, want := range map[string]bool{"10-theirs": true, "60-calls": false, "70-called": false, "80-objects": true} {
		if exists(m.path("etc/pyruse.d/"+path+".json")) != want {
			t.Errorf("is %s there: want %t", path, want)
		}
	}
	wantText(t, m, "etc/pyruse/pyruse.json", `{"neverBan": []}`)
	wantText(t, m, "etc/pyruse.d/80-objects.json", header+`{
  "x-z": 1,
  "x-a": 2,
  "actions": [
    {
      "label": "l",
      "steps": []
    }
  ]
}
`)

	t.Log("a fragment is masked; credentials and drop-ins take a restart, which makes a reload superfluous")
	r = m.succeeds(t, vars{"pyruse_masked": []string{"80-objects"}, "pyruse_credentials": vars{"mail": "sesame"}, "pyruse_network_open": true})
	wantDone(t, r, "restart pyruse.service")
	if target, err := os.Readlink(m.path("etc/pyruse.d/80-objects.json")); target != "/dev/null" {
		t.Errorf("it is not masked: %q, %v", target, err)
	}
	m.write(t, "etc/systemd/system/pyruse.service.d/theirs.conf", "[Service]\n")

	t.Log("a main file that is left as it is may need the network")
	v := vars{"pyruse_masked": []string{"80-objects"}, "pyruse_credentials": vars{"mail": "sesame"}}
	m.changesNothing(t, v)

	t.Log("all of that is taken back")
	v = vars{
		"pyruse_fragments":    vars{"80-objects": called},
		"pyruse_config":       vars{"email": vars{"smtp": vars{"host": "127.0.0.1", "tls": "none"}, "from": "a@example.org"}},
		"pyruse_boot_modules": []string{"action_ipsetBan"},
	}
	r = m.succeeds(t, v)
	wantDone(t, r, "restart pyruse.service", "disable pyruse-boot@action_nftBan.service", "enable pyruse-boot@action_ipsetBan.service")
	wantText(t, m, "etc/pyruse.d/80-objects.json", called)
	for path, want := range map[string]bool{
		"pyruse/credentials/mail": false, "systemd/system/pyruse.service.d/credentials.conf": false,
		"systemd/system/pyruse.service.d/network.conf": false, "systemd/system/pyruse.service.d/theirs.conf": true,
	} {
		if exists(m.path("etc/"+path)) != want {
			t.Errorf("is %s there: want %t", path, want)
		}
	}

	t.Log("a damaged list of what was put in place has nothing else removed")
	m.write(t, "etc/pyruse/.ansible-managed", "/etc/passwd\n/etc/pyruse.d/../hosts\nrubbish\x00\n/etc/pyruse.d/\n")
	m.write(t, "etc/hosts", "127.0.0.1 localhost\n")
	r = m.succeeds(t, v)
	wantDone(t, r)
	for _, path := range []string{"etc/passwd", "etc/hosts", "etc/pyruse.d/10-theirs.json"} {
		if !exists(m.path(path)) {
			t.Errorf("%s is gone", path)
		}
	}
}

// What is refused, is refused before anything is changed, in check mode as well.
func TestFaults(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	// It needs a chain of the role's, so at first it has a fault.
	m.write(t, "etc/pyruse.d/75-theirs.json", `{"actions": {"t": {"order": 100, "steps": [{"action": "action_noop", "then": "a"}]}}}`)
	m.succeeds(t, vars{"pyruse_fragments": vars{"60-calls": calls, "70-called": called}})
	before := m.files(t)
	for name, test := range map[string]struct {
		v    vars
		want string
	}{
		"fragment, in check mode": {
			vars{"pyruse_fragments": vars{"60-calls": calls, "70-called": called, "80-bad": vars{"lists": []string{}}}}, `/etc/pyruse.d/80-bad.json:3:`,
		},
		"fragment": {
			vars{"pyruse_fragments": vars{"60-calls": calls, "70-called": called, "50-new": "{}", "80-bad": vars{"actions": vars{"x": []vars{{"filter": "filter_equal"}}}}}},
			`/etc/pyruse.d/80-bad.json:6:19: x[0]: there is no filter \"filter_equal\"; did you mean`,
		},
		"fragment, with another program": {
			vars{"pyruse_binary": "/host" + m.newer, "pyruse_fragments": vars{"60-calls": calls}}, `/etc/pyruse.d/60-calls.json:1:`,
		},
		"needed by another of this role": {vars{"pyruse_fragments": vars{"60-calls": calls}}, `/etc/pyruse.d/60-calls.json:1:`},
		"needed by others":               {vars{}, `/etc/pyruse.d/75-theirs.json:1:`},
		"main file":                      {vars{"pyruse_config": vars{"email": vars{"too": "x"}}, "pyruse_fragments": vars{"70-called": called}}, `/etc/pyruse/pyruse.json:4:`},
		"name":                           {vars{"pyruse_fragments": vars{"../x": "{}"}}, "cannot be names of fragments, credentials or boot modules: ../x."},
		"ending":                         {vars{"pyruse_fragments": vars{"60-x.json": "{}"}}, "boot modules: 60-x.json."},
		"content":                        {vars{"pyruse_fragments": vars{"60-x": []string{"sesame"}}}, "That of these is not: 60-x"},
		"both":                           {vars{"pyruse_fragments": vars{"60-x": "{}"}, "pyruse_masked": []string{"60-x"}}, "in pyruse_masked as well: 60-x"},
		"no secret":                      {vars{"pyruse_credentials": vars{"mail": nil}}, "That of these is not: mail"},
		"password":                       {vars{"pyruse_config": vars{"email": vars{"smtp": vars{"password": "sesame"}}}}, "A password stands in pyruse_config."},
		"password in a text": {
			vars{"pyruse_fragments": vars{"60-x": `{"email": {"smtp": {"host": "h", "password" : "sesame"}}}`}}, "A password stands in 60-x."},
		"method":         {vars{"pyruse_install_method": "deb"}, "pyruse_deb does not say which file it is"},
		"unknown method": {vars{"pyruse_install_method": "rpm"}, "value of pyruse_install_method must be one of: deb, repository, binary, got: rpm"},
	} {
		args := []string{"-vvv"}
		if strings.Contains(name, "check mode") {
			args = []string{"--check", "--diff"}
		}
		r := m.run(t, test.v, args...)
		if r.err == nil {
			t.Fatalf("%s: it is not refused:\n%s", name, r.out)
		}
		if !strings.Contains(r.out, test.want) {
			t.Errorf("%s: %q is not told:\n%s", name, test.want, r.out)
		}
		wantDone(t, r)
		wantNoSecrets(t, r)
		if diff := cmp.Diff(before, m.files(t)); diff != "" {
			t.Fatalf("%s: something was changed:\n%s", name, diff)
		}
	}

	t.Log("the files of the package are left to the package")
	m.write(t, "var/lib/dpkg/info/pyruse.list", "/usr/bin/pyruse\n")
	if r := m.run(t, vars{}); r.err == nil || !strings.Contains(r.out, "The package pyruse is installed. Remove it first") {
		t.Errorf("they are not:\n%s", r.out)
	}
	t.Log("a package that was removed, but for its configuration, has a list, too")
	m.write(t, "var/lib/dpkg/info/pyruse.list", "/.\n/etc\n/etc/pyruse\n/etc/pyruse/pyruse.json\n")
	if r := m.succeeds(t, vars{"pyruse_fragments": vars{"70-called": called}}); !slices.Contains(r.done, "reload pyruse.service") {
		t.Errorf("the daemon does not take the change over, but does %q:\n%s", r.done, r.out)
	}
}

const mark = "etc/pyruse/.ansible-unfinished"

// A run that does not come to its end leaves a restart to the next one, which cannot know what the daemon has taken over.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.succeeds(t, vars{})
	v := vars{"pyruse_fragments": vars{"70-called": called}}
	m.write(t, "var/lib/systemctl/fail", "reload pyruse.service")
	if r := m.run(t, v); r.err == nil || !exists(m.path("etc/pyruse.d/70-called.json")) || !exists(m.path(mark)) {
		t.Errorf("the reload does not fail, or there is no mark:\n%s", r.out)
	}

	t.Log("who manages no service leaves it to others")
	v["pyruse_manage_service"] = false
	m.changesNothing(t, v)
	delete(v, "pyruse_manage_service")

	t.Log("in check mode, it is told")
	const told = "An earlier run did not come to its end, so the daemon is restarted"
	before := m.files(t)
	r := m.succeeds(t, v, "--check")
	if !strings.Contains(r.out, told) {
		t.Errorf("it is not:\n%s", r.out)
	}
	if diff := cmp.Diff(before, m.files(t)); diff != "" {
		t.Errorf("check mode changes files:\n%s", diff)
	}

	t.Log("the next run restarts the daemon, also where the boot units make trouble afterwards")
	m.write(t, "var/lib/systemctl/fail", "enable pyruse-boot@action_ipsetBan.service")
	v["pyruse_boot_modules"] = []string{"action_nftBan", "action_ipsetBan"}
	r = m.run(t, v)
	wantDone(t, r, "restart pyruse.service")
	if r.err == nil || !strings.Contains(r.out, told) || exists(m.path(mark)) {
		t.Errorf("it is not told, or the mark stays:\n%s", r.out)
	}
	m.write(t, "var/lib/systemctl/fail", "")
	r = m.succeeds(t, v)
	wantDone(t, r, "enable pyruse-boot@action_ipsetBan.service")
	if strings.Contains(r.out, told) {
		t.Errorf("it is told again:\n%s", r.out)
	}
}

// Links of others lead to where they lead, and what is laid out to be checked is not written through them.
func TestLinksOfOthers(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write(t, "etc/theirs/called.json", called)
	m.write(t, "etc/theirs/calls.json", calls)
	m.write(t, "etc/theirs/main.json", "{}\n")
	m.write(t, "etc/pyruse.d/folder/in-it.json", "{")
	if err := os.Mkdir(m.path("etc/pyruse"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, target := range map[string]string{
		"etc/pyruse.d/10-called.json": "../theirs/called.json",
		"etc/pyruse.d/60-calls.json":  "../theirs/calls.json",
		"etc/pyruse.d/70-masked.json": "../theirs/calls.json",
		"etc/pyruse.d/20-gone.json":   "../theirs/gone.json",
		"etc/pyruse.d/90-report.json": "/dev/null",
		"etc/pyruse/pyruse.json":      "../theirs/main.json",
	} {
		if err := os.Symlink(target, m.path(path)); err != nil {
			t.Fatal(err)
		}
	}
	theirs := regexp.MustCompile(`^/etc/(theirs|pyruse)`)
	before := m.files(t)
	v := vars{"pyruse_config": vars{"neverBan": []string{}}, "pyruse_fragments": vars{"60-calls": " " + calls}, "pyruse_masked": []string{"70-masked"}}
	m.succeeds(t, v, "--check")
	if diff := cmp.Diff(before, m.files(t)); diff != "" {
		t.Errorf("check mode changes files:\n%s", diff)
	}
	m.succeeds(t, v)
	after := m.files(t)
	for path, want := range map[string]string{
		"/etc/pyruse.d/60-calls.json":  "-rw-r--r--  " + calls,
		"/etc/pyruse.d/70-masked.json": "Lrwxrwxrwx -> /dev/null",
		"/etc/pyruse/pyruse.json":      "-rw-r--r-- " + header + "{\n  \"neverBan\": []\n}\n",
	} {
		if after[path] != want {
			t.Errorf("%s: %q, want %q", path, after[path], want)
		}
		delete(before, path)
	}
	for path, was := range before {
		if theirs.MatchString(path) && after[path] != was {
			t.Errorf("%s was %q, and is %q", path, was, after[path])
		}
	}
}

// What one play has restarted does not keep the next one from a reload.
func TestTwoPlays(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.succeeds(t, vars{})
	r := m.play(t, "twice.yml", vars{
		"pyruse_credentials": vars{"mail": "sesame"},
		"pyruse_fragments":   "{{ of_this_play }}",
		"text":               called,
	})
	if r.err != nil {
		t.Fatalf("the run fails:\n%s", r.out)
	}
	wantDone(t, r, "restart pyruse.service", "reload pyruse.service")
	wantText(t, m, "etc/pyruse.d/70-called.json", called)
}

// The package comes from a repository, then a newer one, and then one that lies on the machine.
func TestRepository(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write(t, "etc/apt/sources.list", "deb [trusted=yes] file:/root/repository ./\n")
	// Nobody but root can read the folders of a test.
	m.write(t, "etc/apt/apt.conf", `APT::Sandbox::User "root";`)
	m.write(t, "var/lib/dpkg/status", "")
	for _, folder := range []string{
		"etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/preferences.d", "var/lib/dpkg/updates", "var/lib/apt/lists/partial",
		"var/cache/apt/archives/partial",
	} {
		if err := errors.Join(os.RemoveAll(m.path(folder)), os.MkdirAll(m.path(folder), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	m.publish(t, "3.0.0")
	v := vars{"pyruse_binary": "", "pyruse_fragments": vars{"70-called": called}}

	t.Log("in check mode, it is told")
	if r := m.succeeds(t, v, "--check"); !strings.Contains(r.out, "The package pyruse would be installed") || exists(m.path("usr/bin/pyruse")) {
		t.Errorf("it is not:\n%s", r.out)
	}

	t.Log("in earnest")
	r := m.succeeds(t, v)
	wantDone(t, r, "start pyruse.service", "enable pyruse.service", "enable pyruse-boot@action_nftBan.service")
	m.wantVersion(t, "3.0.0")
	m.changesNothing(t, v)

	t.Log("a newer one is taken where the newest is asked for")
	m.publish(t, "3.0.1")
	m.succeeds(t, v)
	m.wantVersion(t, "3.0.0")
	v["pyruse_package_state"] = "latest"
	m.succeeds(t, v)
	m.wantVersion(t, "3.0.1")

	t.Log("a file on the machine, where somebody does without a main file")
	name := m.publish(t, "3.0.2")
	if err := os.Remove(m.path("etc/pyruse/pyruse.json")); err != nil {
		t.Fatal(err)
	}
	v = vars{"pyruse_binary": "", "pyruse_deb": "/root/repository/" + name, "pyruse_deb_remote": true, "pyruse_fragments": vars{"70-called": called}}
	m.succeeds(t, v)
	m.wantVersion(t, "3.0.2")
}

// publish makes a package of the program, and a repository of nothing else. It returns the name of the package's file.
func (m machine) publish(t *testing.T, version string) string {
	t.Helper()
	need(t, "dpkg-deb", "make")
	folder := t.TempDir()
	output(t, "make", "-C", "..", "--no-print-directory", "install", "DESTDIR="+folder, "PREFIX=/usr", "BIN="+m.program, "NOTIFY_RELOAD=no")
	// What is for people would go where the machine has links into this one.
	if err := os.RemoveAll(filepath.Join(folder, "usr/share")); err != nil {
		t.Fatal(err)
	}
	control := "Package: pyruse\nVersion: " + version + "\nArchitecture: all\nMaintainer: Pyruse <pyruse@example.org>\nDescription: a test\n"
	for path, content := range map[string]string{
		"DEBIAN/control": control, "DEBIAN/conffiles": "/etc/pyruse/pyruse.json\n", "etc/pyruse/pyruse.json": readFile(t, "../cmd/pyruse/pyruse.json"),
	} {
		machine{root: folder}.write(t, path, content)
	}
	name := "pyruse_" + version + "_all.deb"
	m.write(t, "root/repository/Packages", "")
	output(t, "dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, m.path("root/repository/"+name))
	file := readFile(t, m.path("root/repository/"+name))
	m.write(t, "root/repository/Packages", fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %x\n", control, name, len(file), sha256.Sum256([]byte(file))))
	// The role has apt look again where its list is old.
	if err := os.Chtimes(m.path("var/lib/apt/lists"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	return name
}

// wantVersion looks for the version of the package that is installed.
func (m machine) wantVersion(t *testing.T, want string) {
	t.Helper()
	if status := readFile(t, m.path("var/lib/dpkg/status")); !strings.Contains(status, "\nStatus: install ok installed\n") || !strings.Contains(status, "\nVersion: "+want+"\n") {
		t.Errorf("version %s is not installed:\n%s", want, status)
	}
}

// systemd 253 and the daemon agree on a reload without a helper; and without systemd, only files are laid out.
func TestNewerSystemd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write(t, "var/lib/systemctl/version", "253")
	r := m.succeeds(t, vars{"pyruse_manage_service": false})
	wantDone(t, r)
	if exists(m.path(mark)) {
		t.Error("it is marked as unfinished, but nobody will finish it")
	}
	wantAsMade(t, m, "yes")

	t.Log("systemctl reload cannot fail there, so the daemon is asked; here is none")
	r = m.run(t, vars{"pyruse_fragments": vars{"70-called": called}})
	if r.err == nil || !slices.Contains(r.done, "start pyruse.service") ||
		!regexp.MustCompile(`Make sure that the new configuration of pyruse is in force\] \*+\nfatal: .*"/usr/bin/pyruse", "reload"`).MatchString(r.out) {
		t.Errorf("it is not, after %q:\n%s", r.done, r.out)
	}
}

// wantAsMade compares what the role has installed with what `make install` does.
func wantAsMade(t *testing.T, m machine, notifyReload string) {
	t.Helper()
	need(t, "make")
	dest := t.TempDir()
	output(t, "make", "-C", "..", "--no-print-directory", "install", "DESTDIR="+dest, "PREFIX=/usr", "BIN="+m.program, "NOTIFY_RELOAD="+notifyReload)
	// What is for people is not needed, and the drop-ins and the main file are put where they belong.
	others := regexp.MustCompile(`^/usr/share/`)
	compared := 0
	err := filepath.WalkDir(dest, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, dest)
		if err != nil || entry.IsDir() || others.MatchString(name) {
			return err
		}
		compared++
		if made, installed := readFile(t, path), readFile(t, m.path(name)); made != installed {
			t.Errorf("%s, with NOTIFY_RELOAD=%s:\n%.2000s", name, notifyReload, cmp.Diff(made, installed))
		}
		return nil
	})
	if err != nil || compared == 0 {
		t.Errorf("%d files were compared: %v", compared, err)
	}
}
