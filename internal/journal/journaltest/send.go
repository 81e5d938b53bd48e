package journaltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	nativeSocket = "/run/systemd/journal/socket"
	devLog       = "/run/systemd/journal/dev-log"
	remotePath   = "/lib/systemd/systemd-journal-remote"
)

// Field is one field of an entry. A name may occur several times.
type Field struct{ Name, Value string }

// F returns a Field.
func F(name, value string) Field { return Field{name, value} }

// Send sends one entry to journald by the native protocol, of any size. Untrusted
// fields only: journald drops names that begin with an underscore.
func Send(tb testing.TB, fields ...Field) {
	tb.Helper()
	if err := send(appendFields(nil, fields)); err != nil {
		tb.Fatal(err)
	}
}

// Message sends an entry with nothing but a MESSAGE.
func Message(tb testing.TB, text string) { tb.Helper(); Send(tb, F("MESSAGE", text)) }

func send(data []byte) error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("send to journald: %w", err)
	}
	journald := &net.UnixAddr{Name: nativeSocket, Net: "unixgram"}
	_, err = conn.WriteToUnix(data, journald)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = sendByFile(conn, journald, data)
	}
	if err != nil {
		return fmt.Errorf("send to journald: %w", err)
	}
	return nil
}

// sendByFile hands the entry over in an unlinked file of /dev/shm, which journald
// takes as it takes a sealed memfd: https://systemd.io/JOURNAL_NATIVE_PROTOCOL
func sendByFile(conn *net.UnixConn, journald *net.UnixAddr, data []byte) error {
	f, err := os.CreateTemp("/dev/shm", "journaltest")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix(nil, unix.UnixRights(int(f.Fd())), journald)
	return err
}

// appendFields writes the fields as the native protocol and the journal export
// format have them, always in the binary form, which suits every value.
func appendFields(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = append(b, f.Name...)
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Value)))
		b = append(b, f.Value...)
		b = append(b, '\n')
	}
	return b
}

// Logger writes one syslog line through logger(1), as a service of that name would.
func Logger(tb testing.TB, tag, message string) {
	tb.Helper()
	run(tb, nil, "bsdutils", "logger", "--socket", devLog, "--tag", tag, "--", message)
}

// Entry is one entry of a journal file to write: any fields, trusted ones too.
type Entry struct {
	UnixMicro int64  // the time, in microseconds since 1970; serves as the time since boot, too
	BootID    string // 32 hexadecimal digits; "" is one that is the same for all
	Fields    []Field
}

// defaultBootID is the boot of the entries that name none.
const defaultBootID = "5a1f0d6f0c5b4b63a7d5f1f5e1c9a0b7"

// WriteFile makes a journal file (several, if there are more entries than journald
// puts into one) in dir through systemd-journal-remote, and returns the path of the last.
func WriteFile(tb testing.TB, dir string, entries []Entry) string {
	tb.Helper()
	path := filepath.Join(dir, "test.journal")
	AppendFile(tb, path, entries)
	return path
}

// AppendFile adds entries to a journal file, which is made if it is missing.
func AppendFile(tb testing.TB, path string, entries []Entry) {
	tb.Helper()
	var b []byte
	for _, e := range entries {
		boot := e.BootID
		if boot == "" {
			boot = defaultBootID
		}
		b = append(b, "__REALTIME_TIMESTAMP="+strconv.FormatInt(e.UnixMicro, 10)+
			"\n__MONOTONIC_TIMESTAMP="+strconv.FormatInt(e.UnixMicro, 10)+"\n_BOOT_ID="+boot+"\n"...)
		b = appendFields(b, e.Fields)
		b = append(b, '\n')
	}
	if len(bytes.TrimSpace(b)) == 0 {
		tb.Fatal("write a journal file: no entries")
	}
	run(tb, b, "systemd-journal-remote", remotePath, "-o", path, "-")
}
