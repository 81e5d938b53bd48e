package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/pyruse/pyruse/internal/mail"
	"github.com/pyruse/pyruse/internal/report"
	"github.com/pyruse/pyruse/internal/state"
)

// A big day has so many lines that nobody expected, and so many different ones.
const (
	bigLines    = 1_000_000
	bigDistinct = 100_000
)

// measureReport makes the report of a big day out of a database, up to the mail in the outbox, in a process whose heap is collected as that of
// the daemon is. The peak is that of the report alone: what was needed to fill the database is given back before.
func measureReport(o *options) (figures, error) {
	const gcPercent = 50
	debug.SetGCPercent(gcPercent)
	dir, err := os.MkdirTemp(o.work, "report-")
	if err != nil {
		return nil, fmt.Errorf("make a storage folder: %w", err)
	}
	db, _, err := state.Open(dir, state.Limits{ReportLines: bigLines, Outbox: 1}, time.Now())
	if err != nil {
		return nil, err
	}
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.Local)
	if err := fillBigDay(o, db, day); err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // proc(5): VmHWM begins anew
		return nil, fmt.Errorf("reset the peak of the memory: %w", err)
	}
	m := &report.Maker{Book: db, Settings: report.Settings{
		Message:    mail.Message{From: "pyruse@example.org", To: []string{"root@example.org"}, Subject: "Pyruse Report", Host: "example.org"},
		MemoryDays: 30, KeepDays: 14,
	}}
	var out *state.Mail
	cpu, elapsed, err := timed(func() error {
		var made *report.Made
		var err error
		made, out, err = m.Close(day.AddDate(0, 0, 1), day.AddDate(0, 0, 1))
		if err == nil && (made.Lines != bigLines || out == nil) {
			err = fmt.Errorf("it has %d lines", made.Lines)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the report: %w", err)
	}
	resident, err := peakResident()
	if err := errors.Join(err, db.Close(), os.RemoveAll(dir)); err != nil {
		return nil, err
	}
	return figures{
		"report": cpu.Seconds(), "report elapsed": elapsed.Seconds(), "report memory": resident, "report mail": float64(mail.Size(out.Data)) / 1e6,
	}, nil
}

// fillBigDay writes the lines of the day: made-up entries of usual services, each several times.
func fillBigDay(o *options, db *state.DB, day time.Time) error {
	maker := exec.Command(filepath.Join(o.work, binMaker), "-n", strconv.Itoa(bigDistinct), "-attackers", strconv.Itoa(attackers))
	maker.Stderr = os.Stderr
	pipe, err := maker.StdoutPipe()
	if err != nil {
		return err
	}
	if err := maker.Start(); err != nil {
		return err
	}
	const size = 1000
	b, n := &state.Batch{}, 0
	for d := json.NewDecoder(pipe); ; {
		var e struct {
			Message string `json:"MESSAGE"`
			Service string `json:"SYSLOG_IDENTIFIER"`
			Unit    string `json:"_SYSTEMD_UNIT"`
		}
		if err = d.Decode(&e); err != nil {
			break
		}
		for range bigLines / bigDistinct {
			b.Report = append(b.Report, state.ReportLine{
				Time: day.Add(time.Duration(n) * (24 * time.Hour / bigLines)), Details: report.All, Message: e.Service + ": " + e.Message,
				Service: e.Service, Unit: e.Unit, Start: len(e.Service) + 2, Length: len(e.Message),
			})
			n++
		}
		if len(b.Report) >= size {
			if _, err := db.Commit(b); err != nil {
				return errors.Join(err, maker.Process.Kill(), maker.Wait())
			}
			b.Report = b.Report[:0]
		}
	}
	if errors.Is(err, io.EOF) {
		_, err = db.Commit(b)
	}
	return errors.Join(err, maker.Wait())
}

// peakResident returns the largest resident memory of this process, in MiB (proc(5), VmHWM).
func peakResident() (float64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read the peak of the memory: %w", err)
	}
	for l := range strings.Lines(string(data)) {
		if kib, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 64)
			return n / 1024, err
		}
	}
	return 0, errors.New("read the peak of the memory: there is no VmHWM")
}
