package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tributary/allowance"
	"tributary/bundle"
	"tributary/link"
)

// usageFile is where, in the state directory, the book of what links have carried is.
const usageFile = "gateway-usage.json"

// Chosen by us.
const (
	// countEvery is how often the interfaces are read: a link of 100 Mbit/s carries
	// 125 MB in that time, which is what it may be beyond a level before that shows.
	countEvery = 10 * time.Second

	// noteEvery is the most that a loss of power makes forget. Without a plan the book
	// only tells the past, and flash memory wears.
	noteEvery     = time.Minute
	noteUnplanned = 15 * time.Minute
)

// An accountant counts what the links carry, and says how sparingly to use them.
type accountant struct {
	book     *allowance.Book
	links    func() []link.Link
	counters func() (map[string]link.Counter, error)
	log      *slog.Logger

	uncounted, unsaved string // the errors of the last time, of run alone

	mu    sync.Mutex
	plans map[string]allowance.Plan
	spare map[string]allowance.Verdict // Why is as of when the reason arose
}

// newAccountant makes the gateway's, or nil where there are no links of ours.
func (g *Gateway) newAccountant() *accountant {
	if g.config.Links == nil {
		return nil
	}
	a := &accountant{
		plans: g.config.Plans, links: g.config.Links.Links, counters: g.config.Links.Counters, log: g.config.Log,
		spare: map[string]allowance.Verdict{},
	}
	path := ""
	if g.config.StateDir != "" {
		path = filepath.Join(g.config.StateDir, usageFile)
	}
	var err error
	if a.book, err = allowance.Open(path); err != nil {
		a.log.Warn("what the links carry is counted anew", "err", err)
	}
	return a
}

// run counts until ctx ends.
func (a *accountant) run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		a.count(time.Now())
		least := noteUnplanned
		if a.planned() {
			least = noteEvery
		}
		a.save(least)
		select {
		case <-ctx.Done():
			a.count(time.Now())
			a.save(0)
			return
		case <-tick.C:
		}
	}
}

// SetPlans makes plans what links cost from now on, as in [Config].
func (g *Gateway) SetPlans(plans map[string]allowance.Plan) {
	if g.accounts != nil {
		g.accounts.setPlans(plans)
	}
}

func (a *accountant) setPlans(plans map[string]allowance.Plan) {
	a.mu.Lock()
	a.plans = plans
	a.mu.Unlock()
	a.decide(time.Now())
}

func (a *accountant) planned() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.plans) > 0
}

func (a *accountant) plan(name string) allowance.Plan {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plans[name]
}

// count reads the interfaces and decides anew.
func (a *accountant) count(now time.Time) {
	counters, err := a.counters()
	a.complain(&a.uncounted, "what the links carry cannot be counted", err)
	for name, c := range counters {
		a.book.Count(name, allowance.Reading(c), now)
	}
	a.decide(now)
}

func (a *accountant) save(least time.Duration) {
	a.complain(&a.unsaved, "what the links have carried is not remembered", a.book.Save(time.Now(), least))
}

// complain says once what goes on being wrong.
func (a *accountant) complain(last *string, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != *last && err != nil {
		a.log.Warn(what, "err", err)
	}
	*last = text
}

// decide says how sparingly to use each link, and logs what is new.
func (a *accountant) decide(now time.Time) {
	links := a.links()
	slices.SortStableFunc(links, func(a, b link.Link) int { return cmp.Compare(a.Order, b.Order) })
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := make([]allowance.Line, len(links))
	for i, l := range links {
		p := a.plans[l.Name]
		lines[i] = allowance.Line{
			Name: l.Name, On: l.Mode == link.On, Plan: p, Usage: a.book.Usage(l.Name, p.Day, now), Was: a.book.Level(l.Name),
		}
	}
	spare := make(map[string]allowance.Verdict, len(links))
	for i, v := range allowance.Decide(lines) {
		name := lines[i].Name
		a.book.SetLevel(name, v.Own)
		if was := a.spare[name]; v.Thrift == was.Thrift && v.Reason == was.Reason {
			v.Why = was.Why
		} else {
			a.log.Info("allowance", "link", name, "thrift", v.Thrift.String(), "reason", string(v.Reason), "why", v.Why)
		}
		spare[name] = v
	}
	a.spare = spare
}

// of returns how sparingly to use a link. A nil accountant spares none.
func (a *accountant) of(name string) allowance.Verdict {
	if a == nil {
		return allowance.Verdict{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.spare[name]
}

// enter adds to what is observed of the links, in the order of their names, how
// sparingly to use them: those whose next GB costs less are to be preferred.
func (a *accountant) enter(all []bundle.Observation) {
	price := make(map[string]float64, len(all))
	for i := range all {
		o := &all[i]
		v := a.of(o.Link)
		price[o.Link] = v.Price
		switch o.Spared = v.Why; v.Thrift {
		case allowance.Spare:
			o.Thrift = bundle.Spare
		case allowance.Backup:
			o.Thrift = bundle.Last
		}
	}
	order := make([]*bundle.Observation, len(all))
	for i := range all {
		order[i] = &all[i]
	}
	slices.SortStableFunc(order, func(a, b *bundle.Observation) int {
		return cmp.Or(cmp.Compare(price[a.Link], price[b.Link]), cmp.Compare(a.Order, b.Order))
	})
	for i, o := range order {
		o.Order = i
	}
}

// UsageStatus is what a link has carried in the billing month of now, whoever used it:
// all that passed its interface, in bytes of IP packets both ways.
type UsageStatus struct {
	Bytes     uint64 `json:"bytes"`
	Allowance uint64 `json:"allowance,omitempty"` // bytes; none if it is not there
	Forecast  uint64 `json:"forecast"`            // bytes at the month's end
	// The billing month, the day of now in it, and how many it has. Since is when
	// counting began in it. UsedUp is when the allowance will be used up at this pace,
	// or was found so; it is not there if that is not to be expected.
	From   string `json:"from"`
	Resets string `json:"resets"`
	Since  string `json:"since"`
	Day    int    `json:"day"`
	Days   int    `json:"days"`
	UsedUp string `json:"used_up,omitempty"`
	// What a GB costs beyond the allowance, all so far, and at the month's end.
	PricePerGB   float64 `json:"price_per_gb,omitempty"`
	Cost         float64 `json:"cost"`
	CostForecast float64 `json:"cost_forecast"`
	// Thrift is how sparingly the link is used: "none", "spare" or "backup"; Reason
	// "ahead", "nearly", "used-up" or "dearer"; Why the evidence of when that arose.
	Thrift string `json:"thrift"`
	Reason string `json:"reason,omitempty"`
	Why    string `json:"why,omitempty"`
	Words  string `json:"words"` // all of this in a sentence
}

// status returns what a link has carried, or nil if it was never counted.
func (a *accountant) status(name string, now time.Time) *UsageStatus {
	if a == nil {
		return nil
	}
	p, v := a.plan(name), a.of(name)
	u := a.book.Usage(name, p.Day, now)
	if u.Since.IsZero() {
		return nil
	}
	return &UsageStatus{
		Bytes: u.Used, Allowance: p.Bytes, Forecast: u.Forecast,
		From: stamp(u.From), Resets: stamp(u.Until), Since: stamp(u.Since), Day: u.Day, Days: u.Days, UsedUp: stamp(u.UsedUp(p.Bytes)),
		PricePerGB: p.PricePerGB, Cost: p.Cost(u.Used), CostForecast: p.Cost(u.Forecast),
		Thrift: v.Thrift.String(), Reason: string(v.Reason), Why: v.Why, Words: u.Words(p),
	}
}
