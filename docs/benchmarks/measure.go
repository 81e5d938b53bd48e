package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// cpuTime returns the CPU time that this process has used, in its own code and in the kernel.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// timed returns the CPU time that f takes, the garbage collector's included, and how long it takes on the clock. It
// begins with an empty heap.
func timed(f func() error) (cpu, elapsed time.Duration, err error) {
	runtime.GC()
	before, err := cpuTime()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = f()
	elapsed = time.Since(began)
	after, clockErr := cpuTime()
	return after - before, elapsed, errors.Join(err, clockErr)
}

// micros returns the microseconds of one of n operations.
func micros(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }

// medians returns the median of each figure.
func medians(rounds []figures) figures {
	out := figures{}
	for name := range rounds[0] {
		var values []float64
		for _, r := range rounds {
			values = append(values, r[name])
		}
		slices.Sort(values)
		n := len(values)
		out[name] = (values[(n-1)/2] + values[n/2]) / 2
	}
	return out
}
