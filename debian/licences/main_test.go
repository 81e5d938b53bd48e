package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mit = `The MIT Licence

Copyright (c) 2019, Jane Doe. https://example.org
Copyright 2020 The Example Authors. All rights reserved.
Copyright [yyyy] [name of copyright owner]

` + mitText + "\n"

const mitText = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software
and associated documentation files, to deal in it.

The above copyright notice shall be included.`

func TestCopyrightIsUpToDate(t *testing.T) {
	t.Parallel()
	want, err := generate("../..")
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../copyright")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("debian/copyright is not up to date: go run ./debian/licences > debian/copyright\n%s", diff)
	}
}

// module makes a module of files, under a path that spdx knows.
func module(t *testing.T, path string, files map[string]string) source {
	t.Helper()
	s := source{path: path, root: t.TempDir()}
	for name, text := range files {
		file := filepath.Join(s.root, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".go") {
			s.files = append(s.files, file)
		}
	}
	return s
}

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read(module(t, "github.com/emersion/go-sasl", map[string]string{
		"LICENSE": mit,
		"NOTICE":  "Copyright 2021 A Company, Inc.\n",
		"code.go": "// Copyright (C) 2022 John Doe <john@example.org>\n// Copyright 2023\n\npackage code\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := work{path: "github.com/emersion/go-sasl", licence: "Expat",
		holders: []string{"2019, Jane Doe", "2020 The Example Authors", "2021 A Company, Inc", "2022 John Doe <john@example.org>"},
		text:    mit[strings.Index(mit, "Permission") : len(mit)-1]}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(work{})); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, path string
		files      map[string]string
		want       string
	}{
		{"a module nobody has looked at", "example.org/new", map[string]string{"LICENSE": mit}, "its licence is not known"},
		{"another licence than written down", "github.com/spf13/pflag", map[string]string{"LICENSE": mit}, "does not read like that"},
		{"no licence", "github.com/emersion/go-sasl", nil, "0 files with a licence"},
		{"two licences", "github.com/emersion/go-sasl", map[string]string{"LICENSE": mit, "LICENSE.txt": mit}, "2 files with a licence"},
		{"no notice", "github.com/emersion/go-sasl", map[string]string{"LICENSE": mitText}, "nowhere whose it is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(module(t, test.path, test.files)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestRenderNamesEachTextOnce(t *testing.T) {
	t.Parallel()
	got := render([]work{
		{path: "github.com/a/one", licence: "Expat", holders: []string{"2020 A", "2021 B"}, text: "Do what\nyou like.\n\nReally."},
		{path: "github.com/b/two", licence: "Expat", holders: []string{"2020 B"}, text: "Do what you\nlike. Really."},
		{path: "github.com/c/three", licence: "Expat", holders: []string{"2020 C"}, text: "Do not."},
		{path: "github.com/c/four", licence: "Expat", holders: []string{"2020 C"}, text: "Do what we like."},
	})
	for _, want := range []string{
		"\nFiles: vendor/github.com/a/one/*\nCopyright: 2020 A\n           2021 B\nLicense: Expat\n\n",
		"\nFiles: vendor/github.com/b/two/*\nCopyright: 2020 B\nLicense: Expat\n\n",
		"\nFiles: vendor/github.com/c/three/*\nCopyright: 2020 C\nLicense: Expat~c\n\n",
		"\nLicense: Expat\n Do what\n you like.\n .\n Really.\n",
		"\nLicense: Expat~c\n Do not.\n",
		"\nLicense: Expat~c-2\n Do what we like.\n",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("want %q once in\n%s", want, got)
		}
	}
}

func TestUndocumented(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Deps: []*debug.Module{{Path: "example.org/one"}, {Path: "example.org/one/more"}}}
	got := undocumented(info, "x\nFiles: vendor/example.org/one/*\nLicense: Expat\n")
	if diff := cmp.Diff([]string{"example.org/one/more"}, got); diff != "" {
		t.Error(diff)
	}
}

// A program that says nothing about its modules, as a test does, must not pass as one without modules.
func TestCheckProgramRefusesOneThatSaysNothing(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkProgram(program, "../copyright"); err == nil || !strings.Contains(err.Error(), "names no module") {
		t.Errorf("got %v", err)
	}
}
