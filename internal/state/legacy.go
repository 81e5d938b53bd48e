package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"
)

// ParseLegacyBans reads a ban file of Pyruse 2: a JSON list of objects with IP, nfSet and
// timestamp (the end of the ban in seconds since 1970, 0 for ever). A file that breaks
// off gives the bans before the break together with the error. Elements that are no ban are skipped and counted.
func ParseLegacyBans(r io.Reader, backend string) (bans []Ban, skipped int, err error) {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, 0, fmt.Errorf("read the bans of Pyruse 2: the file does not begin with a list: %w", errors.Join(err))
	}
	for dec.More() {
		var x struct {
			IP        string  `json:"IP"`
			Set       string  `json:"nfSet"`
			Timestamp float64 `json:"timestamp"`
		}
		if err := dec.Decode(&x); err != nil {
			var typeErr *json.UnmarshalTypeError
			if errors.As(err, &typeErr) {
				skipped++
				continue
			}
			return bans, skipped, fmt.Errorf("read the bans of Pyruse 2: %w", err)
		}
		a, err := netip.ParseAddr(strings.TrimSpace(x.IP))
		if err != nil || x.Set == "" || !(x.Timestamp >= 0 && x.Timestamp < math.MaxInt64/1e6) {
			skipped++
			continue
		}
		b := Ban{Backend: backend, Set: x.Set, Addr: a.Unmap().WithZone("")}
		if x.Timestamp > 0 {
			b.Until = time.UnixMicro(int64(x.Timestamp * 1e6))
		}
		bans = append(bans, b)
	}
	if _, err := dec.Token(); err != nil {
		return bans, skipped, fmt.Errorf("read the bans of Pyruse 2: %w", err)
	}
	return bans, skipped, nil
}

// TakeOver commits what was read from a state file of another program, once for each
// name: it returns false, and changes nothing, if that was done before.
func (d *DB) TakeOver(name string, b *Batch) (bool, error) {
	key := "taken-over:" + name
	if done, err := d.meta(key); err != nil || done != "" {
		return false, err
	}
	_, err := d.write("take over "+name, b, func(tx *Tx) error {
		_, err := tx.exec(putMeta, key, "yes")
		return err
	})
	return err == nil, err
}
