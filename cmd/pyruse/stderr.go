package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
)

// standardError returns where errors go: f, with the priority of errors for each line if f is the journal (sd-daemon(3)), so that
// `journalctl -p err` shows why a unit did not start.
func standardError(f *os.File, stream string) io.Writer {
	info, err := f.Stat()
	if err != nil {
		return f
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stream != fmt.Sprintf("%d:%d", st.Dev, st.Ino) { // systemd.exec(5), $JOURNAL_STREAM
		return f
	}
	return &prioritised{to: f, begin: true}
}

// prioritised writes "<3>" before each line that does not begin with a priority.
type prioritised struct {
	to    io.Writer
	begin bool // the next byte begins a line
}

func (p *prioritised) Write(b []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		if p.begin && line[0] != '<' {
			out.WriteString("<3>")
		}
		out.Write(line)
		p.begin = line[len(line)-1] == '\n'
	}
	if _, err := p.to.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}
