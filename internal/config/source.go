// Package config turns bytes into a checked, ordered and positioned
// configuration, and says what is wrong with it: all faults at once, each with its place.
package config

import (
	"sort"
	"unicode/utf8"
)

// File is one configuration file.
type File struct {
	Name  string // as the user wrote it, for diagnostics
	Data  []byte
	lines []int // byte offsets at which lines begin
	rank  int   // among the sources of a configuration: a higher one wins

	secrets []stretch // what must not be shown, in its order
}

// NewFile returns a file with its line table.
func NewFile(name string, data []byte) *File {
	f := &File{Name: name, Data: data, lines: []int{0}}
	for i, c := range data {
		if c == '\n' {
			f.lines = append(f.lines, i+1)
		}
	}
	return f
}

// Pos is a stretch of a file, from byte Start up to but not including byte End.
// The zero Pos is nowhere.
type Pos struct {
	File       *File
	Start, End int
}

// Line returns the line of the position's start, from 1; 0 is nowhere.
func (p Pos) Line() int {
	if p.File == nil {
		return 0
	}
	return sort.SearchInts(p.File.lines, p.Start+1)
}

// Column returns the column of the position's start, in characters from 1; 0 is nowhere.
func (p Pos) Column() int {
	line := p.Line()
	if line == 0 {
		return 0
	}
	return 1 + utf8.RuneCount(p.File.Data[p.File.lines[line-1]:p.Start])
}

// lineText returns the text of line n (from 1), without its line break.
func (f *File) lineText(n int) []byte {
	end := len(f.Data)
	if n < len(f.lines) {
		end = f.lines[n] - 1
	}
	text := f.Data[f.lines[n-1]:end]
	if k := len(text); k > 0 && text[k-1] == '\r' {
		text = text[:k-1]
	}
	return text
}
