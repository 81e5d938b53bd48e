package main

import (
	"fmt"
	"strconv"
	"strings"
)

const head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: pyruse
Source: https://github.com/pyruse/pyruse
Comment: Written by "go run ./debian/licences"; a test compares it.
 The modules below vendor/, and Go's own library, are linked into the program.
 They are part of the source package only if they were put into vendor/.

Files: *
Copyright: 2026 the Pyruse developers
License: GPL-3+

`

const (
	gpl = `License: GPL-3+
 This program is free software: you can redistribute it and/or modify
 it under the terms of the GNU General Public License as published by
 the Free Software Foundation, either version 3 of the License, or
 (at your option) any later version.
 .
 This program is distributed in the hope that it will be useful,
 but WITHOUT ANY WARRANTY; without even the implied warranty of
 MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the
 GNU General Public License for more details.
 .
 On Debian systems, the text of version 3 of the GNU General Public
 License is in /usr/share/common-licenses/GPL-3.
`
	apache = `License: Apache-2.0
 Licensed under the Apache License, Version 2.0 (the "License");
 you may not use these files except in compliance with the License.
 .
 Unless required by applicable law or agreed to in writing, software
 distributed under the License is distributed on an "AS IS" BASIS,
 WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 See the License for the specific language governing permissions and
 limitations under the License.
 .
 On Debian systems, the text of the License is in
 /usr/share/common-licenses/Apache-2.0.
`
)

// render writes the works, and each text of a licence once. Texts with one name differ in whom they name: these get a name of
// their own, as the format wants one text for each name.
func render(works []work) string {
	var b, licences strings.Builder
	b.WriteString(head)
	licences.WriteString(gpl + "\n" + apache)
	names, taken := map[string]string{}, map[string]bool{}
	for _, w := range works {
		name := w.licence
		if w.text != "" {
			key := w.licence + "\n" + fold(w.text)
			if names[key] == "" {
				names[key] = free(taken, w)
				fmt.Fprintf(&licences, "\nLicense: %s\n%s", names[key], paragraph(w.text))
			}
			name = names[key]
		}
		files := "vendor/" + w.path + "/*"
		if w.path == std {
			files = "vendor/std/*\nComment: the runtime and the library of Go"
		}
		fmt.Fprintf(&b, "Files: %s\nCopyright: %s\nLicense: %s\n\n", files, strings.Join(w.holders, "\n           "), name)
	}
	return b.String() + licences.String()
}

// free returns the name of the licence, with where the module comes from behind it if another text has that name already.
func free(taken map[string]bool, w work) string {
	origin, _, _ := strings.Cut(strings.TrimPrefix(w.path, "github.com/"), "/")
	name := w.licence
	for n := 1; taken[name]; n++ {
		name = w.licence + "~" + origin
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
	}
	taken[name] = true
	return name
}

// paragraph writes a text as the continuation of a field.
func paragraph(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \t\r\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
