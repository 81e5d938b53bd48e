package frame

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a reboot leaves of a message on the line is passed over.
func TestReadPassesOverRemains(t *testing.T) {
	var line bytes.Buffer
	whole := Request{ID: 7, Argv: []string{"printf", "no newline"}, Stdin: []byte{0, 1, 0xf0}}
	if err := Write(&line, Request{ID: 6}); err != nil {
		t.Fatal(err)
	}
	remains := bytes.Clone(line.Bytes()[5:])
	line.Reset()
	line.Write(remains)
	line.Write(mark[:3])
	if err := Write(&line, whole); err != nil {
		t.Fatal(err)
	}
	var got Request
	if err := Read(bufio.NewReader(&line), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, got); diff != "" {
		t.Error(diff)
	}
}
