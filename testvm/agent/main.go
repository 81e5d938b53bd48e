// Command agent runs in the machine of the tests. It does what it is told through a serial port: run a command, write a file, read a
// file. Requests are served at the same time, so a long command holds up no other.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/pyruse/pyruse/testvm/frame"
)

const port = "/dev/virtio-ports/pyruse.test"

// How long to wait for the port, or for the other end, before looking again.
const again = 50 * time.Millisecond

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}

func run() error {
	line, err := open()
	if err != nil {
		return err
	}
	var writing sync.Mutex
	in := bufio.NewReader(patient{line})
	for {
		var request frame.Request
		if err := frame.Read(in, &request); err != nil {
			return fmt.Errorf("read the port: %w", err)
		}
		go func() {
			reply := serve(request)
			writing.Lock()
			defer writing.Unlock()
			if err := frame.Write(line, reply); err != nil {
				fmt.Fprintln(os.Stderr, "agent:", err)
			}
		}()
	}
}

// open waits until udev has made the port.
func open() (*os.File, error) {
	for {
		f, err := os.OpenFile(port, os.O_RDWR, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		<-time.After(again)
	}
}

// patient reads a port that has no other end for a while.
type patient struct{ port *os.File }

func (p patient) Read(b []byte) (int, error) {
	for {
		n, err := p.port.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		<-time.After(again)
	}
}

func serve(request frame.Request) frame.Reply {
	reply := frame.Reply{ID: request.ID}
	var err error
	switch {
	case request.Put != "":
		err = put(request)
	case request.Get != "":
		reply.Stdout, err = os.ReadFile(request.Get)
	case len(request.Argv) > 0:
		err = command(request, &reply)
	}
	if err != nil {
		reply.Error = err.Error()
	}
	return reply
}

// put writes the file, whatever the umask is.
func put(request frame.Request) error {
	mode := fs.FileMode(request.Mode)
	if err := os.WriteFile(request.Put, request.Stdin, mode); err != nil {
		return err
	}
	return os.Chmod(request.Put, mode)
}

func command(request frame.Request, reply *frame.Reply) error {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(request.Argv[0], request.Argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request.Stdin), &stdout, &stderr
	// A process left behind that has the output open does not hold up the answer.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	reply.Stdout, reply.Stderr, reply.Code = stdout.Bytes(), stderr.Bytes(), cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}
