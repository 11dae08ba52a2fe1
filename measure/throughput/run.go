package throughput

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tributary/measure/transfer"
)

// Chosen by us.
const (
	// Ramp is how long senders get to find out what a link carries, before counting
	// begins: the slowest start that was seen, of a bundle under BBR, took 3 s.
	Ramp = 3 * time.Second

	// rest is what lies between two transfers: until what is still under way of the one
	// before has arrived.
	rest = 700 * time.Millisecond
)

// A Link is one to be measured.
type Link struct {
	Name    string
	Mode    string // on, backup, overflow or off, as the gateway says
	Metered bool
	RTTms   float64 // at rest, 0 where not known
	Way     transfer.Way
	LeftOut string // why it is not measured, or ""
}

// takesPart reports whether a bundle at full demand uses the link.
func takesPart(mode string) bool { return mode == "on" || mode == "overflow" || mode == "" }

// Now is what a gateway says of a link: the bytes that it has carried, and the part
// that it plays in the bundle with the reason.
type Now struct {
	Up, Down      uint64
	Role, RoleWhy string
}

func (n Now) bytes(up bool) uint64 {
	if up {
		return n.Up
	}
	return n.Down
}

// A Run is what to measure.
type Run struct {
	Links         []Link
	Bundle        transfer.Way // nil: it is not measured
	BundleLeftOut string       // why not, or ""
	Down, Up      bool
	Time          time.Duration // of each transfer
	Bytes         int64         // of each transfer at most; 0 is as many as fit into the time
	// Status returns what the gateway says of each link; nil where there is none.
	Status func(ctx context.Context) (map[string]Now, error)
	// Progress is told what is being done; nil does without.
	Progress func(doing string)
}

// Do measures. It fails if nothing could be measured; what failed besides is in the
// report.
func (r Run) Do(ctx context.Context) (*Report, error) {
	report := &Report{Seconds: r.Time.Seconds()}
	if r.BundleLeftOut != "" {
		report.Notes = append(report.Notes, r.BundleLeftOut)
	}
	for _, l := range r.Links {
		if l.LeftOut != "" {
			report.Notes = append(report.Notes, l.Name+" is left out: "+l.LeftOut)
		}
	}
	for _, up := range []bool{false, true} {
		if up && !r.Up || !up && !r.Down {
			continue
		}
		d, err := r.direction(ctx, up)
		if err != nil {
			return nil, err
		}
		report.Directions = append(report.Directions, d)
	}
	report.judge()
	return report, nil
}

func (r Run) direction(ctx context.Context, up bool) (d Direction, err error) {
	d.Name = map[bool]string{false: "down", true: "up"}[up]
	for _, l := range r.Links {
		d.Links = append(d.Links, LinkRate{Name: l.Name, Mode: l.Mode, Metered: l.Metered, RTTms: l.RTTms})
	}
	before := r.status(ctx)
	if err := r.links(ctx, up, &d); err != nil {
		return d, err
	}
	_, sum := moved(before, r.status(ctx), up)
	d.OthersMbit = transfer.Mbit(int64(sum), d.took)
	if r.Bundle != nil {
		err = r.bundle(ctx, up, &d)
	}
	if err == nil && d.Moved == 0 {
		err = errors.New("nothing could be measured")
		for _, l := range d.Links {
			if l.Error != "" {
				err = fmt.Errorf("%w: %s: %s", err, l.Name, l.Error)
			}
		}
		if d.BundleError != "" {
			err = fmt.Errorf("%w: the bundle: %s", err, d.BundleError)
		}
	}
	return d, err
}

// links measures each alone, and then all at the same time.
func (r Run) links(ctx context.Context, up bool, d *Direction) error {
	began := time.Now()
	var all []int
	for i, l := range r.Links {
		if l.LeftOut != "" {
			continue
		}
		r.tell("%s: %s alone", d.Name, l.Name)
		got, err := r.move(ctx, up, l.Way)
		d.Moved += got.Bytes()
		if ctx.Err() != nil {
			return err
		}
		if d.Links[i].AloneMbit = got.Steady(Ramp); err != nil {
			d.Links[i].Error = err.Error()
			continue
		}
		all = append(all, i)
	}
	if len(all) > 1 {
		if err := r.together(ctx, up, d, all); err != nil {
			return err
		}
	}
	d.took = time.Since(began)
	return nil
}

func (r Run) together(ctx context.Context, up bool, d *Direction, all []int) error {
	r.tell("%s: all %d links at the same time", d.Name, len(all))
	var transfers sync.WaitGroup
	got, errs := make([]transfer.Result, len(r.Links)), make([]error, len(r.Links))
	for _, i := range all {
		transfers.Go(func() { got[i], errs[i] = r.move(ctx, up, r.Links[i].Way) })
	}
	transfers.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, i := range all {
		d.Moved += got[i].Bytes()
		d.Links[i].TogetherMbit = got[i].Steady(Ramp)
		d.TogetherMbit += d.Links[i].TogetherMbit
		if errs[i] != nil {
			d.Links[i].Error = "with the others: " + errs[i].Error()
		}
	}
	return nil
}

func (r Run) bundle(ctx context.Context, up bool, d *Direction) error {
	r.tell("%s: the bundle", d.Name)
	before := r.status(ctx)
	got, err := r.move(ctx, up, r.Bundle)
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		d.BundleError = err.Error()
	}
	d.Moved += got.Bytes()
	d.BundleMbit = got.Steady(Ramp)
	after := r.status(ctx)
	by, sum := moved(before, after, up)
	for i, l := range d.Links {
		d.Links[i].Role, d.Links[i].RoleWhy = after[l.Name].Role, after[l.Name].RoleWhy
		if sum > 0 {
			d.Links[i].InBundleMbit = d.BundleMbit * float64(by[l.Name]) / float64(sum)
		}
	}
	return nil
}

func (r Run) move(ctx context.Context, up bool, way transfer.Way) (transfer.Result, error) {
	select {
	case <-ctx.Done():
		return transfer.Result{}, context.Cause(ctx)
	case <-time.After(rest):
	}
	return transfer.Transfer{Up: up, For: r.Time, Bytes: r.Bytes}.Run(ctx, way)
}

func (r Run) status(ctx context.Context) map[string]Now {
	if r.Status == nil {
		return nil
	}
	now, err := r.Status(ctx)
	if err != nil {
		return nil // the figures do without
	}
	return now
}

// moved returns what each link has carried from one status to the next, and the sum.
func moved(before, after map[string]Now, up bool) (by map[string]uint64, sum uint64) {
	by = make(map[string]uint64)
	for name, a := range after {
		if b, ok := before[name]; ok && a.bytes(up) > b.bytes(up) {
			by[name] = a.bytes(up) - b.bytes(up)
			sum += by[name]
		}
	}
	return by, sum
}

func (r Run) tell(format string, args ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, args...))
	}
}
