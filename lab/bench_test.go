//go:build linux

package lab

import (
	"syscall"
	"testing"
	"time"
)

// cpu is the time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDownload reports what single TCP connections get; run it with
// -benchtime=1x. The share of one core includes both ends of the transfer.
func BenchmarkDownload(b *testing.B) {
	for _, c := range []struct{ name, host, device string }{
		{"dsl-30-10-40ms", "home", "dsl"}, {"lte-20-10-60ms", "home", "lte"}, {"server-unlimited-20ms", "relay", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := newNetwork(b, Config{})
			d := Dialer{Host: n.Host(c.host), Device: c.device}
			const skip, length = 2 * time.Second, 8 * time.Second
			for b.Loop() {
				used, start := cpu(), time.Now()
				r, err := Download(testContext(b), Transfer{Dialer: d, URL: "http://server.lab/bytes?n=1e12", For: length})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(100*float64(cpu()-used)/float64(time.Since(start)), "cpu-%")
				b.ReportMetric(r.MbitBetween(skip, length), "Mbit/s")
				b.ReportMetric(r.Mbit(), "Mbit/s-with-start")
				b.ReportMetric(float64(r.FirstByte.Microseconds())/1000, "ms-first-byte")
			}
		})
	}
}
