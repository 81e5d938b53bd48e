// Command licences writes debian/copyright: the notices and licences of the project, and of everything that is linked into the
// program. They are read from the sources that the build uses, so nobody has to keep a list of them; only which licence a module
// has is written down, and checked against its text.
//
//	go run ./debian/licences > debian/copyright      write it
//	go run ./debian/licences -program bin/pyruse     check that it names every module that is linked into a program
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("licences", flag.ContinueOnError)
	flags.SetOutput(stderr)
	program := flags.String("program", "", "check debian/copyright against what is linked into this `PROGRAM`")
	file := flags.String("copyright", "debian/copyright", "the `FILE` to check")
	if flags.Parse(args) != nil {
		return 1
	}
	var err error
	if *program != "" {
		err = checkProgram(*program, *file)
	} else {
		err = write(stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "licences:", err) // there is no other place
		return 1
	}
	return 0
}

func write(stdout io.Writer) error {
	text, err := generate(".")
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// generate returns debian/copyright for the program of the module in folder.
func generate(folder string) (string, error) {
	linked, err := list(folder)
	if err != nil {
		return "", err
	}
	works := make([]work, 0, len(linked))
	for _, module := range linked {
		w, err := read(module)
		if err != nil {
			return "", err
		}
		works = append(works, w)
	}
	return render(works), nil
}

// checkProgram compares the modules that the linker wrote into a program with the paragraphs of a copyright file.
func checkProgram(program, file string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read what is linked into %s: %w", program, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if len(info.Deps) == 0 {
		return fmt.Errorf("%s names no module that is linked into it", program)
	}
	if missing := undocumented(info, string(text)); len(missing) > 0 {
		return fmt.Errorf("%s has no paragraph for what is linked into %s; write it anew: %s", file, program, strings.Join(missing, ", "))
	}
	return nil
}

// undocumented returns the modules that are linked in, and have no paragraph in the text of a copyright file.
func undocumented(info *debug.BuildInfo, text string) []string {
	var missing []string
	for _, module := range info.Deps {
		if !strings.Contains(text, "\nFiles: vendor/"+module.Path+"/*\n") {
			missing = append(missing, module.Path)
		}
	}
	return missing
}
