package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"tributary/measure"
)

// plannedGapMs is the target for a link that its owner switches.
const plannedGapMs = 120

// planned has a running gateway read its links again, which are switched one after the
// other, and back on, in one download.
func planned(ctx context.Context, t *trial) error {
	t.step(time.Second, "start relay and gateway")
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	file := filepath.Join(t.Dir, "planned.toml")
	if err := t.writeModes(file, "", ""); err != nil {
		return err
	}
	if err := t.StartGateway(ctx, "--config", file); err != nil {
		return err
	}
	if err := t.Warm(ctx); err != nil {
		return err
	}
	const settled, stays, returns = 3 * time.Second, 2 * time.Second, 2500 * time.Millisecond
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := t.begun(ctx, t.through(endless, settled+time.Duration(t.times)*4*(stays+returns)))
	if err := d.wait(ctx); err != nil {
		return fmt.Errorf("begin a transfer: %w", err)
	}
	if err := sleep(ctx, settled); err != nil {
		return err
	}
	type span struct{ from, to time.Duration }
	spans := map[string][]span{}
	carried := map[string]uint64{} // by a link, while it was off
	for range t.times {
		for _, link := range t.Network.Links() {
			for _, mode := range []string{"backup", "off"} {
				t.step(stays+returns, "%s is set to %s and back", link, mode)
				for _, s := range []struct {
					name, mode string
					lasts      time.Duration
				}{{link + " " + mode, mode, stays}, {link + " on again, was " + mode, "on", returns}} {
					from := time.Since(d.first)
					if err := t.writeModes(file, link, s.mode); err != nil {
						return err
					}
					if err := t.gateway.Process.Signal(syscall.SIGHUP); err != nil {
						return err
					}
					// The second half is what has nothing to do with the switch any more.
					if err := sleep(ctx, s.lasts/2); err != nil {
						return err
					}
					before := linkBytes(t.Network.Link(link))
					if err := sleep(ctx, s.lasts/2); err != nil {
						return err
					}
					carried[s.name] += linkBytes(t.Network.Link(link)) - before
					spans[s.name] = append(spans[s.name], span{from, from + s.lasts})
				}
			}
		}
	}
	<-d.done
	for _, link := range t.Network.Links() {
		for _, mode := range []string{"backup", "off"} {
			for _, name := range []string{link + " " + mode, link + " on again, was " + mode} {
				var gaps []float64
				for _, s := range spans[name] {
					gaps = append(gaps, ms(d.GapBetween(s.from, s.to).Length))
				}
				t.figure(fmt.Sprintf("%s: longest gap of %d", name, len(gaps)), measure.NewSpread(gaps).Max, "ms", atMost(plannedGapMs))
			}
			t.check(link+" carries next to nothing, "+mode, carried[link+" "+mode] < 100e3*uint64(t.times), "%.2f MB", mega(carried[link+" "+mode]))
			name := link + " on again, was " + mode
			t.check(link+" is used again, was "+mode, carried[name] > 500e3*uint64(t.times), "%.1f MB", mega(carried[name]))
		}
	}
	t.check("the download survives", d.err == nil, "%v", orOK(d.err))
	return nil
}

// writeModes writes a configuration where all links are on but one.
func (t *trial) writeModes(file, link, mode string) error {
	var text string
	for _, name := range t.Network.Links() {
		m := "on"
		if name == link {
			m = mode
		}
		text += fmt.Sprintf("[[gateway.link]]\nname = %q\nmode = %q\n", name, m)
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
