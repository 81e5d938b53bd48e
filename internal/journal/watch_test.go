package journal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watch{changed: make(chan struct{}, 1), busy: make(chan struct{}, 1), stop: make(chan struct{})}
		w.done.Add(1)
		go w.ticks(time.Minute)
		begin := time.Now()
		for i := range 2 { // nothing runs but the look once in a while
			<-w.changed
			if d := time.Since(begin); d != time.Duration(i+1)*time.Minute {
				t.Errorf("token %d after %v", i, d)
			}
			if !w.dirty.Swap(false) || !w.structure.Swap(false) {
				t.Error("the look is not a thorough one")
			}
		}
		w.expectMore()
		begin = time.Now()
		for i := range int(eagerFor / eagerTick) {
			<-w.changed
			if d := time.Since(begin); d != time.Duration(i+1)*eagerTick {
				t.Fatalf("eager token %d after %v", i, d)
			}
			if w.dirty.Load() {
				t.Fatal("an eager token asks for a thorough look")
			}
		}
		<-w.changed
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("the next token after %v", d)
		}
		close(w.stop)
		w.done.Wait()
	})
}

func TestWatchSeesDirectoriesAppear(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "b", "c")
	w, err := newWatch(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	await := func(what string) {
		t.Helper()
		select {
		case <-w.changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no token", what)
		}
		if !w.dirty.Swap(false) {
			t.Errorf("%s: not dirty", what)
		}
		if err := w.set([]string{dir, base}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	await("first token")
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
		await(d)
	}
	if len(w.paths) != 2 {
		t.Errorf("ancestors are still watched: %v", w.paths)
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	await("file")
	if err := os.RemoveAll(filepath.Join(base, "a")); err != nil {
		t.Fatal(err)
	}
	await("removal")
	if _, ok := w.paths[dir]; ok {
		t.Error("a removed directory is still watched")
	}
}

func TestHasOtherThanGrowth(t *testing.T) {
	event := func(mask uint32, name string) []byte {
		b := binary.NativeEndian.AppendUint32(nil, 1)
		b = binary.NativeEndian.AppendUint32(b, mask)
		b = binary.NativeEndian.AppendUint32(b, 0)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
		return append(b, name...)
	}
	modify, create := event(unix.IN_MODIFY, "system.journal\x00\x00"), event(unix.IN_CREATE, "x\x00\x00\x00")
	for _, c := range []struct {
		name   string
		events []byte
		want   bool
	}{
		{"nothing", nil, false},
		{"growth", append(modify[:len(modify):len(modify)], modify...), false},
		{"growth, then a new file", append(modify[:len(modify):len(modify)], create...), true},
		{"overflow", event(unix.IN_Q_OVERFLOW, ""), true},
		{"cut off", modify[:len(modify)-1], true},
	} {
		if got := hasOtherThanGrowth(c.events); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
