package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// std stands for the runtime and the library of Go, which are linked in, but are no module.
const std = "std"

// spdx says which licence a module has. A module that is not here is an error, so that somebody reads its licence.
var spdx = map[string]string{
	std:                                        "BSD-3-clause",
	"github.com/coreos/go-systemd/v22":         "Apache-2.0",
	"github.com/emersion/go-message":           "Expat",
	"github.com/emersion/go-sasl":              "Expat",
	"github.com/emersion/go-smtp":              "Expat",
	"github.com/go-viper/mapstructure/v2":      "Expat",
	"github.com/google/nftables":               "Apache-2.0",
	"github.com/knadh/koanf/maps":              "Expat",
	"github.com/knadh/koanf/providers/confmap": "Expat",
	"github.com/knadh/koanf/v2":                "Expat",
	"github.com/mattn/go-sqlite3":              "Expat",
	"github.com/mdlayher/netlink":              "Expat",
	"github.com/mdlayher/socket":               "Expat",
	"github.com/mitchellh/copystructure":       "Expat",
	"github.com/mitchellh/reflectwalk":         "Expat",
	"github.com/santhosh-tekuri/jsonschema/v5": "Apache-2.0",
	"github.com/spf13/cobra":                   "Apache-2.0",
	"github.com/spf13/pflag":                   "BSD-3-clause",
	"github.com/tailscale/hujson":              "BSD-3-clause",
	"github.com/vishvananda/netlink":           "Apache-2.0",
	"github.com/vishvananda/netns":             "Apache-2.0",
	"golang.org/x/net":                         "BSD-3-clause",
	"golang.org/x/sync":                        "BSD-3-clause",
	"golang.org/x/sys":                         "BSD-3-clause",
	"golang.org/x/term":                        "BSD-3-clause",
	"golang.org/x/text":                        "BSD-3-clause",
}

// authors are those of modules that carry no notice at all: whoever publishes them.
var authors = map[string]string{
	"github.com/santhosh-tekuri/jsonschema/v5": "Santhosh Kumar Tekuri",
}

// A phrase that a licence has, and the others here do not. Debian calls the usual MIT licence "Expat".
var phrases = map[string]string{
	"Apache-2.0":   "Apache License Version 2.0, January 2004",
	"Expat":        "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files",
	"BSD-3-clause": "may be used to endorse or promote products derived from this software without specific prior written permission",
}

// A source is a module that is linked in: its root, and the files of it that are compiled.
type source struct {
	path, root string
	files      []string
}

// A work is what the copyright file says of a source.
type work struct {
	path, licence string
	holders       []string
	text          string // of the licence, without the notices; empty where Debian has the text
}

// list asks Go what is linked into the program, sorted by path.
func list(folder string) ([]source, error) {
	const fields = "Dir,Standard,Goroot,Root,Module,GoFiles,CgoFiles,CFiles,HFiles,SFiles"
	cmd := exec.Command("go", "list", "-deps", "-tags", "libsqlite3", "-json="+fields, "./cmd/pyruse")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1", "GOFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list what is linked: %w\n%s", err, stderr.String())
	}
	type pkg struct {
		Dir, Root string
		Standard  bool
		Module    *struct {
			Path, Dir string
			Main      bool
		}
		GoFiles, CgoFiles, CFiles, HFiles, SFiles []string
	}
	sources := map[string]*source{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read what Go says is linked: %w", err)
		}
		var path, root string
		switch {
		case p.Standard:
			path, root = std, p.Root
		case p.Module == nil:
			return nil, fmt.Errorf("%s belongs to no module", p.Dir)
		case p.Module.Main:
			continue
		default:
			path, root = p.Module.Path, p.Module.Dir
		}
		if root == "" {
			root = filepath.Join(folder, "vendor", filepath.FromSlash(path))
		}
		s := sources[path]
		if s == nil {
			s = &source{path: path, root: root}
			sources[path] = s
		}
		for _, names := range [][]string{p.GoFiles, p.CgoFiles, p.CFiles, p.HFiles, p.SFiles} {
			for _, name := range names {
				s.files = append(s.files, filepath.Join(p.Dir, name))
			}
		}
	}
	sorted := make([]source, 0, len(sources))
	for _, s := range sources {
		sorted = append(sorted, *s)
	}
	slices.SortFunc(sorted, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return sorted, nil
}

// read finds the licence and the notices of a module.
func read(s source) (work, error) {
	licence, known := spdx[s.path]
	if !known {
		return work{}, fmt.Errorf("%s is linked in, and its licence is not known: read %s, and add it to spdx", s.path, s.root)
	}
	files, err := filepath.Glob(filepath.Join(s.root, "LICEN[SC]E*"))
	if err != nil {
		return work{}, err
	}
	if len(files) != 1 {
		return work{}, fmt.Errorf("%s has %d files with a licence, want 1: %v", s.path, len(files), files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return work{}, err
	}
	for name, phrase := range phrases {
		if has := strings.Contains(fold(string(text)), phrase); has != (name == licence) {
			return work{}, fmt.Errorf("%s is said to be under %s, but %s does not read like that", s.path, licence, files[0])
		}
	}
	w := work{path: s.path, licence: licence}
	if licence != "Apache-2.0" {
		w.text = withoutNotices(string(text))
	}
	w.holders = notices(string(text))
	for _, file := range append(noticeFile(s.root), s.files...) {
		// What a file of Go's own library says is what its licence says.
		if s.path == std {
			break
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return work{}, err
		}
		w.holders = append(w.holders, notices(string(text))...)
	}
	slices.Sort(w.holders)
	w.holders = slices.Compact(w.holders)
	if author := authors[s.path]; author != "" {
		w.holders = append(w.holders, author)
	}
	if len(w.holders) == 0 {
		return work{}, fmt.Errorf("%s says nowhere whose it is: add who publishes it to authors", s.path)
	}
	return w, nil
}

func noticeFile(root string) []string {
	files, _ := filepath.Glob(filepath.Join(root, "NOTICE*")) // the pattern is sound
	return files
}

// A notice has a year and a name, or it is the authors'; a template of one has brackets.
var notice = regexp.MustCompile(`(?i)^[\s/*#]*copyright\s+(?:(?:\(c\)|©)\s*)?([0-9]{4}[^\[\]]*?[a-z][^\[\]]*?|the [^\[\]]+? authors)[\s.*/]*$`)

// tail is what may stand behind a holder, and is no part of the name.
var tail = regexp.MustCompile(`(?i)[.,]?\s+(all rights reserved|use of this source|https?://).*$`)

func notices(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if m := notice.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			found = append(found, fold(tail.ReplaceAllString(m[1], "")))
		}
	}
	return found
}

// withoutNotices is the text of a licence from its first sentence on, which is what modules share.
func withoutNotices(text string) string {
	for _, begin := range []string{"Permission is hereby granted", "Redistribution and use in source"} {
		if i := strings.Index(text, begin); i >= 0 {
			return strings.TrimSpace(text[i:])
		}
	}
	return text
}

// fold makes all white space one space, so that texts compare whatever their line width.
func fold(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
