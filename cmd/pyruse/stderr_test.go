package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPrioritised(t *testing.T) {
	var got bytes.Buffer
	p := &prioritised{to: &got, begin: true}
	for _, text := range []string{"a.json:1:2: err", "or: x\n  hint: y\n", "<4>pyruse: z\n", "", "last"} {
		if n, err := p.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q): %d, %v", text, n, err)
		}
	}
	if want := "<3>a.json:1:2: error: x\n<3>  hint: y\n<4>pyruse: z\n<3>last"; got.String() != want {
		t.Errorf("wrote %q, want %q", got.String(), want)
	}
}

func TestStandardErrorThatIsTheJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if _, ok := standardError(f, fmt.Sprintf("%d:%d", st.Dev, st.Ino)).(*prioritised); !ok {
		t.Error("the journal is not recognised")
	}
	for _, other := range []string{"", "1:2"} {
		if standardError(f, other) != f {
			t.Errorf("a file is taken for the journal, with $JOURNAL_STREAM %q", other)
		}
	}
}
