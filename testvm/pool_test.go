//go:build vm

package testvm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A machine keeps more than one core busy, and takes 1.5 GiB.
const mostMachines = 4

// Each machine serves one case at a time. nil is one that was not started yet, or has ended.
var machines chan *machine

func TestMain(m *testing.M) {
	flag.Parse()
	// The number of machines is what limits how many cases run side by side.
	if err := flag.Set("test.parallel", "1000"); err != nil {
		logf("%v", err)
		os.Exit(1)
	}
	n := min(runtime.GOMAXPROCS(0), mostMachines)
	machines = make(chan *machine, n)
	for range n {
		machines <- nil
	}
	code := m.Run()
	for range n {
		if vm := <-machines; vm != nil {
			vm.stop()
		}
	}
	os.Exit(code)
}

var theImage = sync.OnceValues(func() (image, error) { return makeImage(context.Background()) })

// take has the case wait for a machine, and gives that back at its end.
func take(t *testing.T) guest {
	t.Helper()
	vm, began := <-machines, time.Now()
	t.Cleanup(func() {
		t.Logf("%.0f s on a machine", time.Since(began).Seconds())
		if vm != nil && vm.hasEnded() {
			vm.stop()
			vm = nil
		}
		machines <- vm
	})
	if vm == nil {
		i, err := theImage()
		if err != nil {
			t.Fatal(err)
		}
		if vm, err = startOnCopy(context.Background(), i); err != nil {
			t.Fatal(err)
		}
	}
	g := guest{vm, t}
	t.Cleanup(func() {
		if t.Failed() {
			g.leaveTraces()
		}
	})
	return g
}

// startOnCopy starts a machine on a disk of its own, which goes with it.
func startOnCopy(ctx context.Context, i image) (*machine, error) {
	dir, err := os.MkdirTemp("", "pyruse-testvm-")
	if err != nil {
		return nil, err
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if err := command(ctx, nil, "cp", "--reflink=auto", "--sparse=always", i.disk(), disk); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the disk: %w", err), os.RemoveAll(dir))
	}
	return start(ctx, i, dir, disk, "ready")
}
