package app

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/config"
)

func TestCheckProgram(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatalf("the test needs a shell: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ path, says string }{
		{sh, ""},
		{self, ""},
		{write("script", "#! "+sh+" -e\n", 0o700), ""},
		{filepath.Join(dir, "missing"), "no such file"},
		{write("plain", "#!/bin/sh\n", 0o600), "permission denied"},
		{write("orphan", "#!/no/such/interpreter\n", 0o700), "it needs /no/such/interpreter: no such file"},
		{write("nameless", "#!\n", 0o700), "names no interpreter"},
		{write("text", "hello", 0o700), "neither a script nor a program"},
		{write("empty", "", 0o700), "is no program"},
		{dir, ""},
	} {
		err := checkProgram(x.path)
		if x.path == dir {
			if err == nil {
				t.Error("a folder can be started")
			}
			continue
		}
		if x.says == "" && err != nil || x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)) {
			t.Errorf("%s: %v, want %q", x.path, err, x.says)
		}
	}
}

func TestCheckUser(t *testing.T) {
	c := config.Defaults()
	c.Storage = t.TempDir()
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkUser(self, &c); err != nil && strings.Contains(err.Error(), "cannot write") {
		t.Errorf("the owner of the storage: %v", err)
	}
	other := &user.User{Uid: "65000", Gid: "65000", Username: "somebody"}
	if err := checkUser(other, &c); err == nil || !strings.Contains(err.Error(), "it cannot write "+c.Storage) {
		t.Errorf("another user: %v", err)
	}
	c.Email.SMTP.PasswordFile = filepath.Join(c.Storage, "password")
	for _, x := range []struct {
		mode os.FileMode
		user *user.User
		may  bool
	}{
		{0o600, self, true}, {0o600, other, false}, {0o604, other, true}, {0o640, other, false},
		{0o640, &user.User{Uid: "65001", Gid: self.Gid, Username: "member"}, true},
		{0o600, &user.User{Uid: "0", Gid: "0", Username: "root"}, true},
	} {
		if err := os.WriteFile(c.Email.SMTP.PasswordFile, []byte("secret"), x.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.Email.SMTP.PasswordFile, x.mode); err != nil {
			t.Fatal(err)
		}
		err := checkUser(x.user, &c)
		if told := err != nil && strings.Contains(err.Error(), "it cannot read "+c.Email.SMTP.PasswordFile); told == x.may {
			t.Errorf("%s and a password of mode %#o: %v", x.user.Username, x.mode, err)
		}
	}
	c.Email.SMTP.PasswordFile = filepath.Join(c.Storage, "missing") // which the log-in tells of
	if err := checkUser(other, &c); err == nil || strings.Contains(err.Error(), "cannot read") {
		t.Errorf("a missing password: %v", err)
	}
}

// TestCheckSystem looks at a machine on which nothing is as it should be: no journal, no sendmail, nobody to write to.
func TestCheckSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pyruse.json")
	source := `{"storage": "/proc/no", "journal": {"directory": "/no/such/journal"}, "email": {"to": ["root"], "sendmail": ["/no/such/sendmail"]}, "actions": {"a": []}}`
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := CheckOptions{Source: Source{Config: path, Dirs: []string{""}}, System: true, Format: Text, Stdout: &out}
	if err := Check(context.Background(), o); !errors.Is(err, ErrSystem) {
		t.Errorf("error %v, want ErrSystem", err)
	}
	for _, line := range []string{
		"storage /proc/no: ", "journal: ", "name service: ok\n", "sendmail /no/such/sendmail: ",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("nothing says %q:\n%s", line, &out)
		}
	}
	if strings.Contains(out.String(), "sendmail /no/such/sendmail: ok") || strings.Contains(out.String(), "journal: ok") {
		t.Errorf("what is missing is fine:\n%s", &out)
	}
	o.Format = SARIF
	if err := Check(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--format json") {
		t.Errorf("SARIF: %v", err)
	}
}
