package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pyruse/pyruse/internal/control"
)

// ReloadOptions say which daemon reloads, and how the result is shown.
type ReloadOptions struct {
	Source Source
	Socket string // its control socket; "": where the configuration says
	Format Format
	Colour bool // of Stdout
	Stdout io.Writer
}

// Reload has the running daemon load its configuration again, and prints every fault. It returns
// when the new configuration is in force, or ErrConfig if the old one stays.
func Reload(ctx context.Context, o ReloadOptions) error {
	path, err := o.socket()
	if err != nil {
		return err
	}
	r, err := control.NewClient(path).Reload(ctx, control.ReloadOptions{Format: string(o.Format), Colour: o.Colour})
	if errors.Is(err, control.ErrNotRunning) {
		err = fmt.Errorf("%w: nothing answers on %s", control.ErrNotRunning, path)
		if o.Socket == "" {
			err = fmt.Errorf("%w; if \"control\" was changed, name the old socket with --socket", err)
		}
		return err
	}
	if err != nil {
		return err
	}
	if _, err := io.WriteString(o.Stdout, r.Output); err != nil {
		return err
	}
	switch {
	case r.Fault != "":
		return errors.Join(ErrConfig, errors.New(r.Fault))
	case !r.InForce:
		return ErrConfig
	}
	return nil
}

// socket returns where the daemon answers. A configuration with errors is no reason not to ask: the daemon tells them.
func (o *ReloadOptions) socket() (string, error) {
	if o.Socket != "" {
		return o.Socket, nil
	}
	settings, err := o.Source.settings(io.Discard, false)
	if err != nil && !errors.Is(err, ErrConfig) {
		return "", err
	}
	return socketPath(settings), nil
}
