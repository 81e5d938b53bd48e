package app

import (
	"slices"

	"github.com/pyruse/pyruse/internal/config"
)

// lastingSetting is a setting that takes effect at the start only. keep puts the value that is in force into the place of a
// new one, and reports whether they differ.
type lastingSetting struct {
	key  string
	keep func(next, inForce *config.Settings) (differs bool)
}

// lastingSettings are all of them: what was opened with them stays open.
var lastingSettings = []lastingSetting{
	lasting("storage", same, func(c *config.Settings) *string { return &c.Storage }),
	lasting("journal.directory", same, func(c *config.Settings) *string { return &c.Journal.Directory }),
	lasting("journal.namespace", same, func(c *config.Settings) *string { return &c.Journal.Namespace }),
	lasting("journal.files", slices.Equal, func(c *config.Settings) *[]string { return &c.Journal.Files }),
	lasting("journal.maxField", same, func(c *config.Settings) *int64 { return &c.Journal.MaxField }),
	lasting("control.socket", same, func(c *config.Settings) *string { return &c.Control.Socket }),
	lasting("nftBan.nft", slices.Equal, func(c *config.Settings) *[]string { return &c.NFTBan.NFT }),
	lasting("ipsetBan.ipset", slices.Equal, func(c *config.Settings) *[]string { return &c.IPSetBan.IPSet }),
}

func lasting[T any](key string, equal func(a, b T) bool, of func(*config.Settings) *T) lastingSetting {
	return lastingSetting{key, func(next, inForce *config.Settings) bool {
		differs := !equal(*of(next), *of(inForce))
		*of(next) = *of(inForce)
		return differs
	}}
}

func same[T comparable](a, b T) bool { return a == b }

// keepLasting puts the values in force of all lasting settings into l, and warns of each that l has another value for. It
// returns these warnings.
func keepLasting(l *loaded, inForce *config.Settings) []config.Diagnostic {
	var warnings []config.Diagnostic
	for _, s := range lastingSettings {
		if !s.keep(&l.prog.cfg.Settings, inForce) {
			continue
		}
		w := config.Diagnostic{
			Severity: config.Warning, Code: config.CodeSuspicious, Pos: l.prog.cfg.At(s.key),
			Message: `"` + s.key + `" was changed; that takes effect at the next start`, Hint: "restart the daemon",
		}
		l.diags.Report(w)
		warnings = append(warnings, w)
	}
	return warnings
}
