package phone

import (
	"math"
	"reflect"
	"testing"
	"time"
)

// The day has the source's shares, and is the same every time.
func TestDay(t *testing.T) {
	const n, length = 600, 60 * time.Second
	for seed := range uint64(5) {
		day := Day(seed, n, length)
		if !reflect.DeepEqual(day, Day(seed, n, length)) || reflect.DeepEqual(day, Day(seed+1, n, length)) {
			t.Fatal("the seed is not what makes the day")
		}
		short, long, small, greeters, bytes := 0, 0, 0, 0, 0
		asked := map[int]int{}
		last := time.Duration(0)
		for _, c := range day {
			count(&short, c.RealSeconds < 10)
			count(&long, c.RealSeconds >= 100)
			count(&small, c.Bytes() < 10_000)
			count(&greeters, c.Kind == Greeter)
			bytes += c.Bytes()
			asked[c.Server]++
			if c.Start < last || c.Start > length {
				t.Fatalf("start %v after %v", c.Start, last)
			}
			last = c.Start
			for _, e := range c.Exchanges {
				if e.Up < 8 || e.Down < 1 || e.Pause < 0 {
					t.Fatalf("%+v", c)
				}
			}
			if d := (c.Pauses() + c.Linger).Seconds() * Compression; math.Abs(d-c.RealSeconds) > 0.01 || d > longest.Seconds() {
				t.Fatalf("pauses of %v s in %v s", d, c.RealSeconds)
			}
		}
		for name, s := range map[string][2]float64{
			"under 10 s": {float64(short), Under10s}, "100 s or more": {float64(long), Over100s}, "under 10 kB": {float64(small), Under10kB},
			"greeters": {float64(greeters), serverFirst},
		} {
			if got := s[0] / n; math.Abs(got-s[1]) > 0.005 {
				t.Errorf("%s: %.3f, want %.3f", name, got, s[1])
			}
		}
		if len(asked) < Servers/2 || asked[0] < 5*asked[Servers-1] {
			t.Errorf("asked %v", asked)
		}
		if seed == 0 {
			t.Logf("%.1f MB", float64(bytes)/1e6)
		}
	}
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}
