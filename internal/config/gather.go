package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Layers says where the parts of a configuration are. A later one wins over an earlier one.
type Layers struct {
	Config  string   // the main file; "": pyruse.json in the folder Extra, else in /etc/pyruse
	Extra   string   // $PYRUSE_EXTRA
	Dirs    []string // folders of fragments, the lowest first
	Environ []string // "NAME=value"; those that begin with PYRUSE_ are read
	Set     []string // "key=value", from the command line

	// Candidate is a fragment that is not in its place yet.
	Candidate *Candidate
}

// Candidate is a file that is read as if it stood in the highest folder of fragments.
type Candidate struct {
	Path string    // where it is now; "-" is Stdin
	Name string    // its name in the folder
	In   io.Reader // what "-" is
}

// DefaultDirs are the folders of fragments, the lowest first. A package may have its vendor folder elsewhere: see VendorDir.
func DefaultDirs() []string { return []string{VendorDir, "/run/pyruse.d", "/etc/pyruse.d"} }

// VendorDir is the folder of fragments that come with a package; the build sets it where that is not /usr/lib/pyruse.d.
var VendorDir = "/usr/lib/pyruse.d"

// MaxFragments is how many fragments there may be. All together may be as large as one file, MaxFileSize, and have as many
// values, MaxValues. What is beyond these bounds is not used.
const MaxFragments = 512

// Layer is the kind of a source.
type Layer uint8

// The layers, the lowest first.
const (
	LayerDefault Layer = iota
	LayerMain
	LayerFragment
	LayerEnvironment
	LayerOption
)

// State is what became of a source.
type State uint8

// The states of a source.
const (
	Used      State = iota
	LeftOut         // it has faults, or depends on one that is left out
	Masked          // an empty file, or a link to /dev/null
	Overruled       // a higher folder has a file of the same name
	Missing         // a folder that is not there
)

// String returns the state as it stands in the output of `pyruse config`.
func (s State) String() string {
	return [...]string{"used", "left out", "masked", "overruled", "missing"}[s]
}

// Source is one file, variable or option that a configuration is made of.
type Source struct {
	Layer Layer
	State State
	Why   string // why it is not used
	File  *File

	root   *Node       // canonical; nil when nothing could be read
	mode   fs.FileMode // 0 if it is no file
	faults Diagnostics
	values *atomic.Int64 // how many the fragments have that were read by now; nil: it is none
}

// Sources are all sources of a configuration, in their order: a later one wins over an earlier one.
type Sources struct {
	list []*Source
	main *Source // nil if there is none
}

// ErrNoFile is returned when there is no configuration anywhere.
var ErrNoFile = errors.New("there is no configuration")

// Gather finds, reads, parses and validates all sources, each one alone. Faults of the sources are kept with them.
// The error is ErrNoFile, or tells of a candidate that cannot be one.
func Gather(l Layers) (*Sources, error) {
	path, err := find(l.Config, l.Extra)
	fragments, fault := findFragments(l.Dirs, l.Candidate)
	if fault != nil {
		return nil, fault
	}
	if err != nil && (!errors.Is(err, ErrNoFile) || !slices.ContainsFunc(fragments, func(f *fragment) bool { return f.state == Used || f.state == Overruled })) {
		return nil, err
	}
	s := &Sources{list: []*Source{defaultSource()}}
	var read []func()
	if err == nil {
		s.main = &Source{Layer: LayerMain}
		s.list = append(s.list, s.main)
		read = append(read, func() { s.main.readFile(path, path, nil, anyFile) })
	}
	var values atomic.Int64
	for _, f := range fragments {
		x := &Source{Layer: LayerFragment, State: f.state, Why: f.why, values: &values}
		s.list = append(s.list, x)
		read = append(read, func() { x.readFragment(f) })
	}
	var kept *published
	if len(fragments) > 0 { // for all of them, and at once, beside the one of the main file
		read = append([]func(){func() { kept = fragmentSchema.get() }}, read...)
	}
	inParallel(read)
	s.list = append(s.list, environment(l.Environ)...)
	s.list = append(s.list, options(l.Set)...)
	runtime.KeepAlive(kept)
	s.number()
	return s, nil
}

// number gives each file its rank.
func (s *Sources) number() {
	for rank, x := range s.list {
		x.File.rank = rank
		for _, d := range x.faults.list { // some faults are about a file of which nothing but the name is shown
			d.Pos.File.rank = rank
		}
	}
}

// inParallel calls all functions, as many at a time as there are processors. If one of them panics, it panics when all have ended.
func inParallel(calls []func()) {
	var running sync.WaitGroup
	var mu sync.Mutex
	var panicked any
	work := make(chan func())
	call := func(f func()) {
		defer func() {
			if p := recover(); p != nil {
				mu.Lock()
				defer mu.Unlock()
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		f()
	}
	for range min(len(calls), runtime.GOMAXPROCS(0)) {
		running.Add(1)
		go func() {
			defer running.Done()
			for f := range work {
				call(f)
			}
		}()
	}
	for _, f := range calls {
		work <- f
	}
	close(work)
	running.Wait()
	if panicked != nil {
		panic(panicked)
	}
}

// mainFile is where the main file is where nobody says otherwise. It is a variable for the tests, which must not find the machine's.
var mainFile = "/etc/pyruse/pyruse.json"

// find returns the path of pyruse.json: explicit if it is not empty, then in the
// folder extra ($PYRUSE_EXTRA), then mainFile.
func find(explicit, extra string) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	tried := []string{mainFile}
	if extra != "" {
		tried = slices.Insert(tried, 0, filepath.Join(extra, "pyruse.json"))
	}
	for _, path := range tried {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: looked for %s; name one with --config FILE", ErrNoFile, strings.Join(tried, " and "))
}

// fragment is a file in a folder of fragments.
type fragment struct {
	name      string // in its folder
	path      string
	shown     string    // how it is named in messages
	in        io.Reader // what is read instead of path
	candidate bool      // it is not in its place yet
	state     State
	why       string
	fault     error // why it cannot be read
}

// findFragments returns the fragments of the folders in the order in which they apply: by name, whatever their folder. Of
// several with the same name, the one in the highest folder applies.
func findFragments(dirs []string, candidate *Candidate) ([]*fragment, error) {
	var all []*fragment
	highest := map[string]*fragment{}
	add := func(f *fragment) {
		if lower := highest[f.name]; lower != nil {
			lower.state, lower.why = Overruled, "by "+f.shown
		}
		highest[f.name] = f
		all = append(all, f)
	}
	for _, dir := range dirs {
		names, err := fragmentNames(dir)
		if errors.Is(err, fs.ErrNotExist) {
			if !slices.Contains(DefaultDirs(), dir) {
				all = append(all, &fragment{shown: dir, state: Missing, why: "there is no such folder"})
			}
			continue
		}
		if err != nil {
			all = append(all, &fragment{shown: dir, fault: fmt.Errorf("the folder of fragments: %w", reason(err))})
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			add(&fragment{name: name, path: path, shown: path})
		}
	}
	if candidate != nil {
		f, err := candidate.fragment()
		if err != nil {
			return nil, err
		}
		add(f)
	}
	slices.SortStableFunc(all, func(a, b *fragment) int { return strings.Compare(a.name, b.name) })
	findMasks(all)
	boundFragments(all)
	return all, nil
}

// findMasks finds the files that only turn others off.
func findMasks(all []*fragment) {
	for _, f := range all {
		if f.state != Used || f.fault != nil || f.in != nil {
			continue
		}
		if f.why = maskOf(f.path); f.why != "" {
			f.state = Masked
		}
	}
}

// boundFragments refuses what is beyond the bounds of all fragments together, before it is read.
func boundFragments(all []*fragment) {
	count, bytes := 0, int64(0)
	for _, f := range all {
		if f.state != Used || f.fault != nil {
			continue
		}
		if info, err := os.Stat(f.path); err == nil && info.Mode().IsRegular() && info.Size() <= MaxFileSize {
			bytes += info.Size()
		}
		if count++; count > MaxFragments || bytes > MaxFileSize {
			f.fault = fmt.Errorf("the fragment: all together may be %d files and %d bytes", MaxFragments, MaxFileSize)
		}
	}
}

// fragmentNames returns the names of the fragments in a folder.
func fragmentNames(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if isFragmentName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// isFragmentName reports whether a file of that name is a fragment. Hidden files, and what editors and package managers leave
// behind (x.json~, x.json.dpkg-new), are none.
func isFragmentName(name string) bool {
	return strings.HasSuffix(name, ".json") && !strings.HasPrefix(name, ".") && name != ".json"
}

func (c *Candidate) fragment() (*fragment, error) {
	f := &fragment{name: c.Name, path: c.Path, shown: c.Path, candidate: true}
	if f.name == "" {
		f.name = filepath.Base(c.Path)
	} else {
		f.shown = c.Name
	}
	if c.Path == "-" {
		f.in = c.In
		if c.Name == "" {
			return nil, errors.New("a fragment from standard input needs a name: --as NAME")
		}
	}
	if f.name != filepath.Base(f.name) {
		return nil, fmt.Errorf("%q is not the name of a file in a folder", f.name)
	}
	if !isFragmentName(f.name) {
		return nil, fmt.Errorf("%q is no name of a fragment: it must end in .json; give it one with --as NAME", f.name)
	}
	return f, nil
}

// readFragment reads a fragment that applies; what is overruled or masked is not looked into.
func (x *Source) readFragment(f *fragment) {
	switch {
	case f.state == Missing:
		x.File = nowhere(f.shown)
		x.faults.Warnf(Pos{File: x.File}, "", "there is no such folder of fragments")
	case f.fault != nil:
		x.File = nowhere(f.shown)
		x.faults.Errorf(Pos{File: x.File}, "", "cannot read %v", f.fault)
	case f.state != Used:
		x.File = nowhere(f.shown)
	case f.candidate:
		x.readFile(f.path, f.shown, f.in, anyFile)
	default:
		x.readFile(f.path, f.shown, nil, regularFile)
	}
}

// maskOf returns why a file turns those of the same name in lower folders off, "" if it does not.
func maskOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return "it is a link to " + os.DevNull
	}
	if info.Mode().IsRegular() && info.Size() == 0 {
		return emptyMask
	}
	return ""
}

const emptyMask = "it is empty"

// nowhere returns a file of which nothing but the name is known.
func nowhere(name string) *File { return &File{Name: name, lines: []int{0}} }

// readFile reads, parses and validates a file; its faults are kept.
func (x *Source) readFile(path, shown string, in io.Reader, kind fileKind) {
	data, mode, err := readBounded(path, in, kind)
	if err == nil && in != nil && len(data) == 0 {
		x.File, x.State, x.Why = nowhere(shown), Masked, emptyMask
		return
	}
	if err == nil {
		x.mode = mode
		x.read(NewFile(shown, data))
		return
	}
	x.File = nowhere(shown)
	what := "the configuration"
	if x.Layer == LayerFragment {
		what = "the fragment"
	}
	if errors.Is(err, errTooLarge) {
		x.faults.Errorf(Pos{File: x.File}, tooLargeHint, "%v", errTooLarge)
		return
	}
	x.faults.Errorf(Pos{File: x.File}, "", "cannot read %s: %v", what, reason(err))
}

// read parses and validates a file; its faults are kept.
func (x *Source) read(f *File) {
	x.File = f
	if x.values != nil { // of all fragments together
		if _, n := shape(f.Data); x.values.Add(int64(n)) > MaxValues {
			x.faults.Errorf(Pos{File: nowhere(f.Name)}, tooLargeHint, "all fragments together have more than %d values", MaxValues)
			return
		}
	}
	root := Parse(f, &x.faults)
	if root == nil {
		return
	}
	if root.Kind != Object {
		x.faults.Errorf(root.Pos, `a configuration is a JSON object: {"actions": {…}}`, "the file holds %s; it must hold an object", root.Kind)
		return
	}
	validate(root, x.Layer, &x.faults)
	x.root = canonical(root, &x.faults)
}

// reason returns an error of the file system without the path, which is named elsewhere.
func reason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// fileKind says what kind of file is read. Opening what is no regular file may wait for ever, which is
// right for what a user names, such as a pipe, and wrong for what is found in a folder.
type fileKind bool

const (
	anyFile     fileKind = false
	regularFile fileKind = true
)

var errTooLarge = fmt.Errorf("the file has more than %d bytes", MaxFileSize)

const tooLargeHint = "split the configuration, or look for what made it grow"

// readBounded reads a file of at most MaxFileSize, or in if it is not nil. It also returns the mode of the file.
func readBounded(path string, in io.Reader, kind fileKind) ([]byte, fs.FileMode, error) {
	if in != nil {
		data, err := readAll(in)
		return data, 0, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return nil, 0, errors.New("it is a directory")
	case kind == regularFile && !info.Mode().IsRegular():
		return nil, 0, errors.New("it is not a regular file")
	case info.Size() > MaxFileSize:
		return nil, 0, errTooLarge
	}
	flags := os.O_RDONLY
	if kind == regularFile { // which it may have ceased to be
		flags |= syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err = f.Stat() // of what is read: the name may be that of another file by now
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	data, err := readAll(f)
	return data, info.Mode(), errors.Join(err, f.Close())
}

func readAll(in io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(in, MaxFileSize+1))
	if len(data) > MaxFileSize {
		return nil, errTooLarge
	}
	return data, err
}
