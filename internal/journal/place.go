package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/sdjournal"
	"golang.org/x/sys/unix"
)

// journalRoots are the directories below which journald keeps its files, one
// subdirectory for each machine ID; the first one does not outlive a reboot.
var journalRoots = []string{"/run/log/journal", "/var/log/journal"}

const machineIDFile = "/etc/machine-id"

// place is where a Reader's journal files are. Either libsystemd searches the roots
// by itself, or the files that match patterns are opened.
type place struct {
	roots    []string
	patterns []string
	machine  string // the only subdirectory of roots that counts; "": all that are named after an ID
	open     func(files []string) (*sdjournal.Journal, error)
}

// newPlace resolves what the options say. libsystemd's call for namespaces
// (sd_journal_open_namespace) is not in go-systemd; what it does is to read the
// directories MACHINE-ID.NAMESPACE of both roots, so these are what is opened, file by file:
// unlike a directory, several files need not be in one place.
func newPlace(o Options) (place, error) {
	given := 0
	for _, is := range []bool{o.Directory != "", o.Namespace != "", len(o.Files) > 0} {
		if is {
			given++
		}
	}
	if given > 1 {
		return place{}, errors.New("choose a journal: directory, namespace and files exclude each other")
	}
	byName := func(files []string) (*sdjournal.Journal, error) { return sdjournal.NewJournalFromFiles(files...) }
	switch {
	case o.Directory != "":
		dir, err := filepath.Abs(o.Directory)
		if err != nil {
			return place{}, fmt.Errorf("choose a journal: %w", err)
		}
		return place{roots: []string{dir}, open: func([]string) (*sdjournal.Journal, error) {
			return sdjournal.NewJournalFromDir(dir)
		}}, nil
	case o.Namespace != "":
		if strings.ContainsAny(o.Namespace, "/*?[\\") {
			return place{}, fmt.Errorf("choose a journal: %q is no name of a namespace", o.Namespace)
		}
		id, err := machineID()
		if err != nil {
			return place{}, err
		}
		p := place{open: byName}
		for _, root := range journalRoots {
			dir := filepath.Join(root, id+"."+o.Namespace)
			p.patterns = append(p.patterns, filepath.Join(dir, "*.journal"), filepath.Join(dir, "*.journal~"))
		}
		return p, nil
	case len(o.Files) > 0:
		p := place{open: byName}
		for _, f := range o.Files {
			path, err := filepath.Abs(f)
			if err != nil {
				return place{}, fmt.Errorf("choose a journal: %w", err)
			}
			if _, err := filepath.Match(path, ""); err != nil {
				return place{}, fmt.Errorf("choose a journal: file pattern %q: %w", f, err)
			}
			p.patterns = append(p.patterns, path)
		}
		return p, nil
	}
	id, err := machineID()
	if err != nil {
		return place{}, err
	}
	return place{roots: journalRoots, machine: id, open: func([]string) (*sdjournal.Journal, error) {
		return sdjournal.NewJournal()
	}}, nil
}

func machineID() (string, error) {
	id, err := os.ReadFile(machineIDFile)
	if err != nil {
		return "", fmt.Errorf("read the machine ID: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// dirs returns the directories in which journal files may be, now or later.
func (p place) dirs() []string {
	var dirs []string
	for _, pattern := range p.patterns {
		if dir := filepath.Dir(pattern); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, root := range p.roots {
		dirs = append(dirs, root)
		subs, err := os.ReadDir(root)
		if err != nil {
			continue // not there, or not there any more
		}
		for _, sub := range subs {
			if sub.IsDir() && p.searches(sub.Name()) {
				dirs = append(dirs, filepath.Join(root, sub.Name()))
			}
		}
	}
	return dirs
}

// searches reports whether libsystemd reads the subdirectory of that name.
func (p place) searches(sub string) bool {
	if p.machine != "" {
		return sub == p.machine
	}
	id, _, _ := strings.Cut(sub, ".")
	return len(id) == 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}

// files returns the journal files that are there.
func (p place) files() []string {
	var files []string
	for _, pattern := range p.patterns {
		if _, err := os.Lstat(pattern); err == nil {
			files = append(files, pattern)
			continue
		}
		found, _ := filepath.Glob(pattern) // newPlace has checked the pattern
		files = append(files, found...)
	}
	if p.patterns != nil {
		slices.Sort(files)
		return slices.Compact(files)
	}
	for _, dir := range p.dirs() {
		names, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if strings.HasSuffix(n.Name(), ".journal") || strings.HasSuffix(n.Name(), ".journal~") {
				files = append(files, filepath.Join(dir, n.Name()))
			}
		}
	}
	return files
}

// fileID tells a file or directory from all others, also from one that got the
// inode number of a deleted one.
type fileID struct {
	dev, ino uint64
	born     unix.StatxTimestamp // zero where the file system does not know
}

// found is a file or directory that is there.
type found struct {
	path     string
	modified unix.StatxTimestamp
}

// present returns what has to be opened again when a new one turns up: the files of
// patterns, or the roots (what is in them libsystemd notices by itself).
func (p place) present() map[fileID]found {
	paths := p.roots
	if p.patterns != nil {
		paths = p.files()
	}
	ids := make(map[fileID]found, len(paths))
	for _, path := range paths {
		var st unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_MTIME, &st) == nil {
			id := fileID{uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), st.Ino, st.Btime}
			ids[id] = found{path, st.Mtime}
		}
	}
	return ids
}

// readable returns an error if there are journal files of which none may be read:
// libsystemd then shows an empty journal and says nothing.
func (p place) readable() error {
	var denied error
	for _, path := range p.files() {
		f, err := os.Open(path)
		if err == nil {
			f.Close()
			return nil
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	if denied != nil {
		return fmt.Errorf("read the journal (its readers are root and the group systemd-journal): %w", denied)
	}
	return nil
}

// String names the place for messages.
func (p place) String() string {
	if p.patterns != nil {
		return strings.Join(p.patterns, ", ")
	}
	return strings.Join(p.roots, ", ")
}
