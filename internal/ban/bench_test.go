package ban

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/pyruse/pyruse/internal/state"
)

// manyBans returns n bans of a week in the set "ip t s", each of another address.
func manyBans(n int) []state.Ban {
	bans := make([]state.Ban, n)
	now := time.Now()
	for i := range bans {
		bans[i] = state.Ban{
			Backend: state.BackendNFT, Set: "ip t s", Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
			Since: now, Until: now.Add(7*24*time.Hour + time.Duration(i)*time.Millisecond), Chain: "ssh", Step: 3,
		}
	}
	return bans
}

func benchKeeper(b *testing.B, flags string, running int) *Keeper {
	b.Helper()
	emptyFirewall(b)
	tool(b, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; "+flags+" }")
	fw, err := NewNFT(nil)
	if err != nil {
		b.Fatal(err)
	}
	w := &watching{fw, make(chan struct{}, 1)}
	k := NewKeeper(Options{Firewalls: map[string]Firewall{state.BackendNFT: w}, Now: time.Now})
	k.Load(manyBans(running))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	<-w.begun
	if err := k.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	k.mu.Lock()
	for _, s := range k.order { // the comparison that follows the start is not what is measured
		s.compareAt = time.Time{}
	}
	k.mu.Unlock()
	return k
}

// BenchmarkOneMoreBan measures a ban until it is in the kernel, with none and with many that are running.
func BenchmarkOneMoreBan(b *testing.B) {
	for _, running := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("running=%d", running), func(b *testing.B) {
			k := benchKeeper(b, "flags timeout ;", running)
			one := manyBans(1)
			b.ReportAllocs()
			i := uint32(0)
			for b.Loop() {
				i++
				one[0].Addr = netip.AddrFrom4([4]byte{172, byte(i >> 16), byte(i >> 8), byte(i)})
				k.Ban(one)
				if err := k.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStorm measures 10,000 bans, given in batches of 100, until all are in the kernel.
func BenchmarkStorm(b *testing.B) {
	for _, flags := range []string{"flags timeout ;", "flags interval, timeout ;", ""} {
		b.Run(flags, func(b *testing.B) {
			const storm = 10_000
			k := benchKeeper(b, flags, 0)
			bans := manyBans(storm)
			b.ReportAllocs()
			for b.Loop() { // from the second round on, all are banned again
				for i := 0; i < storm; i += 100 {
					for j := range bans[i : i+100] {
						bans[i+j].Until = bans[i+j].Until.Add(time.Second)
					}
					k.Ban(bans[i : i+100])
				}
				if err := k.Flush(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*storm), "µs/ban")
		})
	}
}

// BenchmarkRestore measures what boot mode does with 100,000 bans: when none of them is in the kernel, and when all are.
func BenchmarkRestore(b *testing.B) {
	for _, flags := range []string{"flags timeout ;", "flags interval, timeout ;"} {
		for _, empty := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s empty=%v", flags, empty), func(b *testing.B) {
				emptyFirewall(b)
				tool(b, "nft", "add table ip t ; add set ip t s { type ipv4_addr ; "+flags+" }")
				bans := manyBans(100_000)
				for b.Loop() {
					if empty {
						b.StopTimer()
						tool(b, "nft", "flush set ip t s")
						b.StartTimer()
					}
					fw, err := NewNFT(nil)
					if err != nil {
						b.Fatal(err)
					}
					r, err := Restore(context.Background(), map[string]Firewall{state.BackendNFT: fw}, bans, time.Now())
					if err != nil || r.Restored != len(bans) {
						b.Fatal(r, err)
					}
				}
			})
		}
	}
}

// BenchmarkMemory tells what a remembered ban takes, and how long a list of 100,000 of them takes.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	bans := manyBans(100_000)
	runtime.GC()
	runtime.ReadMemStats(&before)
	k := NewKeeper(Options{Now: time.Now})
	for i := range bans { // one by one, as they come
		k.Ban(bans[i : i+1])
	}
	k.order[0].queue = nil // as if the worker had taken it
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		if len(k.Bans()) != len(bans) {
			b.Fatal("some are missing")
		}
	}
	runtime.KeepAlive(k)
	runtime.KeepAlive(bans)
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(len(bans)), "B/ban")
}
