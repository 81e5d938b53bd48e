package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// journalRoots are the directories below which journald keeps its files, one
// subdirectory for each machine ID; the first one does not outlive a reboot.
var journalRoots = []string{"/run/log/journal", "/var/log/journal"}

const machineIDFile = "/etc/machine-id"

// place is where a Reader's journal files are.
type place struct {
	// system has libsystemd search journalRoots by itself.
	system bool
	// dir is a directory with journal files, and with subdirectories named after machine IDs.
	dir string
	// patterns are the paths of journal files, or match them.
	patterns []string
	// grouped files are not those of one journald only.
	grouped bool
	// machine is the machine ID, of which libsystemd searches the subdirectories.
	machine string
}

// newPlace resolves what the options say. libsystemd's call for namespaces
// (sd_journal_open_namespace) is not in go-systemd; what it does is to read the
// directories MACHINE-ID.NAMESPACE of both roots, so the files in these are opened.
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
	p := place{grouped: true}
	switch {
	case o.Directory != "":
		dir, err := filepath.Abs(o.Directory)
		if err != nil {
			return place{}, fmt.Errorf("choose a journal: %w", err)
		}
		p.dir = dir
		return p, nil
	case len(o.Files) > 0:
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
	if o.Namespace == "" {
		return place{system: true, machine: id}, nil
	}
	if strings.ContainsAny(o.Namespace, "/*?[\\") {
		return place{}, fmt.Errorf("choose a journal: %q is no name of a namespace", o.Namespace)
	}
	p.grouped = false
	for _, root := range journalRoots {
		dir := filepath.Join(root, id+"."+o.Namespace)
		p.patterns = append(p.patterns, filepath.Join(dir, "*.journal"), filepath.Join(dir, "*.journal~"))
	}
	return p, nil
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
	switch {
	case p.system:
		dirs := slices.Clone(journalRoots)
		for _, root := range journalRoots {
			if sub := filepath.Join(root, p.machine); isDir(sub) {
				dirs = append(dirs, sub)
			}
		}
		return dirs
	case p.dir != "":
		dirs := []string{p.dir}
		subs, _ := os.ReadDir(p.dir) // not there, or not there yet
		for _, sub := range subs {
			if sub.IsDir() && isMachineDir(sub.Name()) {
				dirs = append(dirs, filepath.Join(p.dir, sub.Name()))
			}
		}
		return dirs
	}
	var dirs []string
	for _, pattern := range p.patterns {
		if dir := filepath.Dir(pattern); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isMachineDir reports whether journald gives its directories such a name: a machine
// ID, and the namespace if there is one.
func isMachineDir(name string) bool {
	id, _, _ := strings.Cut(name, ".")
	return len(id) == 32 && strings.Trim(id, "0123456789abcdefABCDEF") == ""
}

// files returns the journal files that are there.
func (p place) files() []string {
	var files []string
	if p.patterns == nil {
		for _, dir := range p.dirs() {
			names, _ := os.ReadDir(dir) // not there, or not there yet
			for _, n := range names {
				if strings.HasSuffix(n.Name(), ".journal") || strings.HasSuffix(n.Name(), ".journal~") {
					files = append(files, filepath.Join(dir, n.Name()))
				}
			}
		}
		return files
	}
	for _, pattern := range p.patterns {
		if _, err := os.Lstat(pattern); err == nil {
			files = append(files, pattern)
			continue
		}
		found, _ := filepath.Glob(pattern) // newPlace has checked the pattern
		files = append(files, found...)
	}
	slices.Sort(files)
	return slices.Compact(files)
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

// present returns what is there, by the name of the origin to which it belongs. For
// the system's journal, these are the roots: what is in them libsystemd notices by itself.
func (p place) present() map[string]map[fileID]found {
	paths := journalRoots
	if !p.system {
		paths = p.files()
	}
	origins := map[string]map[fileID]found{}
	for _, path := range paths {
		var st unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_MTIME, &st) != nil {
			continue // gone meanwhile
		}
		name := p.originOf(path)
		if origins[name] == nil {
			origins[name] = map[fileID]found{}
		}
		id := fileID{uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), st.Ino, st.Btime}
		origins[name][id] = found{path, st.Mtime}
	}
	return origins
}

// originOf returns the name of the origin that a file belongs to. Writers name the
// file that they write to NAME.journal, and NAME@….journal when it is full. A journald has
// one file for the system and one for each user, which together have one order; for
// systemd-journal-remote, NAME stands for the host that sends.
func (p place) originOf(path string) string {
	if !p.grouped {
		return ""
	}
	dir, name := filepath.Split(path)
	if p.dir != "" {
		dir = strings.TrimPrefix(strings.TrimPrefix(dir, p.dir), "/")
	}
	name, _, _ = strings.Cut(name, "@")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "~"), ".journal")
	if name == "system" || strings.HasPrefix(name, "user-") {
		return dir
	}
	return dir + name
}

// readable returns an error if there are journal files of which none may be read:
// libsystemd then shows an empty journal and says nothing.
func (p place) readable() error {
	var denied error
	for _, path := range p.files() {
		f, err := os.Open(path)
		if err == nil {
			_ = f.Close()
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
	switch {
	case p.system:
		return strings.Join(journalRoots, ", ")
	case p.dir != "":
		return p.dir
	}
	return strings.Join(p.patterns, ", ")
}
