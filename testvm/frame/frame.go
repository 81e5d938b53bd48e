// Package frame is how the tests and the agent in the machine talk through a serial port: a mark, a length, JSON. The mark is there
// because the port outlives both ends: after a reboot, or when a snapshot is loaded, a reader may find half a message.
package frame

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Request asks the agent for one thing: a command to run (Argv), a file to write (Put) or a file to read (Get).
type Request struct {
	ID    uint64
	Argv  []string
	Stdin []byte
	Put   string
	Mode  uint32
	Get   string
}

// Reply answers the request with the same ID. Error says why nothing was done; a command that failed has a Code instead.
type Reply struct {
	ID     uint64
	Code   int
	Stdout []byte
	Stderr []byte
	Error  string
}

var mark = [8]byte{0xf0, 'p', 'y', 'r', 'u', 's', 'e', 0x0f}

// Larger messages are taken for the remains of a broken one.
const longest = 256 << 20

// Write sends one message.
func Write(w io.Writer, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32(mark[:len(mark):len(mark)], uint32(len(text)))
	if _, err := w.Write(append(head, text...)); err != nil {
		return fmt.Errorf("send a message: %w", err)
	}
	return nil
}

// Read takes the next whole message, and passes over what is none.
func Read(r *bufio.Reader, message any) error {
	for {
		if err := seek(r); err != nil {
			return err
		}
		var length uint32
		if err := binary.Read(r, binary.BigEndian, &length); err != nil {
			return err
		}
		if length > longest {
			continue
		}
		text := make([]byte, length)
		if _, err := io.ReadFull(r, text); err != nil {
			return err
		}
		if json.Unmarshal(text, message) == nil {
			return nil
		}
	}
}

// seek reads up to and with the mark.
func seek(r *bufio.Reader) error {
	for at := 0; at < len(mark); {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return err
		case b == mark[at]:
			at++
		case b == mark[0]:
			at = 1
		default:
			at = 0
		}
	}
	return nil
}
