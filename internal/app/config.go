package app

import (
	"errors"
	"fmt"
	"io"
)

// ConfigOptions say how the configuration is shown.
type ConfigOptions struct {
	Source Source
	Origin bool // show for each value where it comes from
	Format Format
	Colour bool // of Stderr
	Stdout io.Writer
	Stderr io.Writer
}

// PrintConfig prints the configuration that all sources add up to. If it cannot be run, it prints what there is, with
// the faults on Stderr, and returns ErrConfig.
func PrintConfig(o ConfigOptions) error {
	collectRarely()
	l, err := load(o.Source, noWorld)
	if err != nil {
		return err
	}
	cfg := l.prog.cfg
	switch {
	case o.Origin && o.Format == JSON:
		err = cfg.WriteOriginsJSON(o.Stdout)
	case o.Origin:
		err = cfg.WriteOrigins(o.Stdout)
	case o.Format == JSON:
		_, err = fmt.Fprintf(o.Stdout, "%s\n", cfg.Whole().AppendJSON(nil))
	default:
		err = cfg.WriteWhole(o.Stdout)
	}
	if err == nil && !l.usable() {
		return errors.Join(ErrConfig, l.diags.WriteText(o.Stderr, o.Colour))
	}
	return err
}
