package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"tributary/lab/page"
	"tributary/measure"
)

// browserConfig is the reference lab with the page's hosts.
func browserConfig() Config { return Config{Sites: append(page.Hosts(), page.StartHost)} }

// fullLoads is how often the page is loaded each way.
const fullLoads = 7

func browse(ctx context.Context, t *trial) error {
	return browseWith(ctx, t, []string{"https", "http"}, []string{WayDirect, WayKnown, WayFirst, WayNext, WayNextKnown}, fullLoads)
}

// A browsing is one run of the scenario.
type browsing struct {
	*trial
	browser *browser
	page    *page.Page
	site    *page.Site
	servers *pageServer
	runs    map[[2]string]*pageRun // by scheme and way
	// toldUntil is when the relay has forgotten all names.
	toldUntil time.Time
}

// A pageRun is what one way's loads were.
type pageRun struct {
	loads       []*page.Load
	connections []float64
	cold        int
	faults      []string
}

func browseWith(ctx context.Context, t *trial, schemes, ways []string, loads int) (err error) {
	program, err := findBrowser()
	if err != nil {
		t.notMeasured("a page in a browser", err.Error())
		return nil
	}
	p := page.New()
	r := &browsing{trial: t, page: p, site: page.NewSite(p), runs: make(map[[2]string]*pageRun)}
	servers, key, err := t.Network.serveSite(ctx, r.site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.close()) }()
	r.servers, r.browser = servers, &browser{program, t.Network.Host("home"), key}
	t.Browser = &PageLoads{Resources: len(p.Resources), Hosts: len(page.Hosts()), Bytes: p.Bytes()}
	if t.Browser.Browser, err = r.browser.version(ctx); err != nil {
		return err
	}
	t.step(time.Second, "start the relay")
	if err := t.StartRelay(ctx); err != nil {
		return err
	}
	for _, scheme := range schemes {
		for i := range loads {
			// Taking turns, so that a busy moment of the machine does not hit one way alone.
			t.step(time.Duration(len(ways))*loadTakes, "a page in a browser by %s, %d of %d", scheme, i+1, loads)
			for _, way := range ways {
				if err := r.load(ctx, scheme, way); err != nil {
					return fmt.Errorf("%s, %s: %w", scheme, way, err)
				}
			}
		}
		for _, way := range ways {
			t.Browser.Ways = append(t.Browser.Ways, r.runs[[2]string{scheme, way}].sum(scheme, way))
		}
		t.Browser.judge(t.Report, scheme)
	}
	return nil
}

// loadTakes is what a load usually takes, with the start of the browser.
const loadTakes = 4500 * time.Millisecond

// load loads the page once and checks that it came whole and nothing besides.
func (r *browsing) load(ctx context.Context, scheme, way string) error {
	var flags []string
	switch way {
	case WayKnown:
		flags = []string{"--host-resolver-rules=" + r.knownNames()}
	case WayFirst, WayNext, WayNextKnown:
		flags = []string{"--proxy-server=" + r.Proxy("socks5")}
		if err := r.rest(ctx, way); err != nil {
			return err
		}
	}
	r.Network.resolver.taken()
	r.Network.server.names.taken()
	r.servers.accepted.Store(0)
	before, err := r.misses(ctx)
	if err != nil {
		return err
	}
	l, err := r.browser.load(ctx, r.site, scheme, flags...)
	if err != nil {
		return err
	}
	r.toldUntil = later(r.toldUntil, time.Now().Add(siteTTL*time.Second))
	after, err := r.misses(ctx)
	if err != nil {
		return err
	}
	faults := append(r.site.Faults(), l.Faults(r.page, scheme)...)
	faults = append(faults, r.strangers(way)...)
	key := [2]string{scheme, way}
	if r.runs[key] == nil {
		r.runs[key] = &pageRun{}
	}
	run := r.runs[key]
	run.loads = append(run.loads, l)
	run.connections = append(run.connections, float64(r.servers.accepted.Load()))
	run.cold += int(after - before)
	run.faults = append(run.faults, faults...)
	return nil
}

// rest brings the gateway to rest: for a first page it is started anew, else it
// has the time to fill its pool after the last one. The relay has forgotten the
// names, or has just been told them.
func (r *browsing) rest(ctx context.Context, way string) error {
	if way == WayFirst || r.gateway == nil {
		if r.gateway != nil {
			if err := r.StopGateway(syscall.SIGTERM); err != nil {
				return err
			}
		}
		if err := r.StartGateway(ctx); err != nil {
			return err
		}
	}
	if err := r.Warm(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, max(500*time.Millisecond, time.Until(r.toldUntil))); err != nil {
		return err
	}
	if way == WayNextKnown {
		return r.tellRelay(ctx)
	}
	return nil
}

// toldFor is for how long the relay knows the names, in seconds: until the page is
// loaded, on a busy machine too.
const toldFor = 12

// tellRelay makes the relay ask for all names.
func (r *browsing) tellRelay(ctx context.Context) error {
	r.Network.server.names.siteTTL.Store(toldFor)
	defer r.Network.server.names.siteTTL.Store(siteTTL)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	errs := make([]error, len(r.Network.config.Sites))
	var greeting sync.WaitGroup
	for i, name := range r.Network.config.Sites {
		greeting.Go(func() { errs[i] = r.greet(ctx, name) })
	}
	greeting.Wait()
	r.toldUntil = time.Now().Add(toldFor * time.Second)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make the relay ask for names: %w", err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// greet asks a site for anything, through the gateway.
func (r *browsing) greet(ctx context.Context, name string) error {
	c, err := r.ask(ctx, askSOCKS5, name, PortHTTP)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// misses is how many requests found no warm connection so far.
func (r *browsing) misses(ctx context.Context) (int64, error) {
	if r.gateway == nil {
		return 0, nil
	}
	st, err := r.Status(ctx)
	return st.Pool.Misses, err
}

// strangers says which names were asked for that are not the page's, or are known,
// and those that home asked for although the relay was to.
func (r *browsing) strangers(way string) (faults []string) {
	for name := range r.Network.resolver.taken() {
		if way != WayDirect || !slices.Contains(r.Network.config.Sites, name) {
			faults = append(faults, "home asked for the name "+name)
		}
	}
	asked := r.Network.server.names.taken()
	for name := range asked {
		if !slices.Contains(r.Network.config.Sites, name) || way == WayNextKnown {
			faults = append(faults, "the relay asked for the name "+name)
		}
	}
	if all := len(r.Network.config.Sites); (way == WayFirst || way == WayNext) && len(asked) != all {
		faults = append(faults, fmt.Sprintf("the relay asked for %d names, not for all %d", len(asked), all))
	}
	slices.Sort(faults)
	return faults
}

// knownNames are rules by which the browser needs no name server.
func (r *browsing) knownNames() string {
	rules := browserNames
	for i, name := range r.Network.config.Sites {
		rules += fmt.Sprintf(",MAP %s %s", name, siteAddr(i).Addr())
	}
	return rules
}

func (run *pageRun) sum(scheme, way string) PageLoadWay {
	var pages, paints, loads, connects, answers []float64
	for _, l := range run.loads {
		pages = append(pages, l.Navigation.ResponseStart)
		paint, _ := l.FirstPaint()
		paints = append(paints, paint)
		loads = append(loads, l.LoadTime())
		for _, e := range l.All() {
			if ms := e.Lookup() + e.Connect(); e.Connect() > 0 {
				connects = append(connects, ms)
			}
			answers = append(answers, e.FirstByte())
		}
	}
	w := PageLoadWay{
		Scheme: scheme, Way: way, Loads: len(run.loads), Cold: run.cold, Faults: run.faults,
		Page: measure.NewSpread(pages), Paint: measure.NewSpread(paints), Load: measure.NewSpread(loads),
		Connect: measure.NewSpread(connects), Answer: measure.NewSpread(answers),
		Connections: measure.NewSpread(run.connections).Median,
	}
	if scheme == drawnScheme && (way == WayDirect || way == WayNext) {
		w.Middle = newPageCourse(run.loads[slices.Index(loads, w.Load.Median)])
	}
	return w
}
