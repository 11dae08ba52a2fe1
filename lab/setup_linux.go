package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"tributary/measure"
	"tributary/measure/figure"
)

// referenceR is the round trip of the reference lab's best link, for which the
// targets are set. The second link's is slower by slowerBy.
const (
	referenceR = 40 * time.Millisecond
	slowerBy   = 20 * time.Millisecond
)

// setupLengths are how much the scenario measures.
type setupLengths struct {
	rtts         []time.Duration
	count        int // for each way and round trip
	reference    int // at referenceR
	sizes        []int64
	sizeCount    int
	large        int64 // sizes from here on are fetched only largeCount times
	largeCount   int
	opens        int
	within, rest time.Duration
	burstBytes   string
}

// fullSetup takes 7 minutes.
func fullSetup() setupLengths {
	l := setupLengths{
		count: 9, reference: 21,
		sizes: []int64{1e3, 10e3, 50e3, 100e3, 200e3, 1e6, 10e6}, sizeCount: 15, large: 1e6, largeCount: 6,
		opens: 50, within: 2 * time.Second, rest: 10 * time.Second, burstBytes: "20k",
	}
	for _, r := range []int{10, 30, 40, 60, 100, 200, 300} {
		l.rtts = append(l.rtts, time.Duration(r)*time.Millisecond)
	}
	return l
}

// A setupRun is one run of the scenario.
type setupRun struct {
	*trial
	lengths  setupLengths
	password string // URL of the relay's SOCKS5 in clear text, with its password
	open     string // of the server that asks for none
}

func setup(ctx context.Context, t *trial) error { return setupWith(ctx, t, fullSetup()) }

func setupWith(ctx context.Context, t *trial, lengths setupLengths) (err error) {
	t.Setup = &SetupTimes{
		Environment: environment(),
		Ladders:     map[string]figure.Ladder{},
	}
	r := &setupRun{trial: t, lengths: lengths}
	ctx, cancel := context.WithCancel(ctx)
	wait, err := t.Network.serveSOCKS(ctx)
	if err != nil {
		cancel()
		return err
	}
	defer wait()
	defer cancel()
	t.step(time.Second, "start the relay")
	if err := r.startRelay(ctx); err != nil {
		return err
	}
	stop, err := r.startPeers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r.Setup.Ways = r.withPeer([]string{WayDirect, WayPassword, WayOpen, WayPipelined, WayCold, WayWarm, WayHTTP, WayRecycled}, WayPeer, WayPeerMux)
	for _, rtt := range lengths.rtts {
		if err := r.curve(ctx, rtt); err != nil {
			return fmt.Errorf("at R = %v: %w", rtt, err)
		}
	}
	if err := r.atReference(ctx); err != nil {
		return err
	}
	r.Setup.judge(r.Report)
	return nil
}

// startRelay starts it so that home may also speak SOCKS5 without TLS, as any
// server of the literature, and finds out the password.
func (r *setupRun) startRelay(ctx context.Context) error {
	file := filepath.Join(r.Dir, "relay.toml")
	if err := os.WriteFile(file, []byte("[relay]\ntrust_clear = [\"11.0.0.0/8\"]\n"), 0o600); err != nil {
		return err
	}
	if err := r.StartRelay(ctx, "--config", file); err != nil {
		return err
	}
	link, err := r.JoinLink()
	if err != nil {
		return err
	}
	join, err := url.Parse(link)
	if err != nil {
		return errors.New("read the relay's join link: not a URL") // it is a secret
	}
	relay := r.Network.Addrs(RelayName)[0]
	r.password = (&url.URL{Scheme: "socks5", User: join.User, Host: hostPort(relay, RelayPort)}).String()
	r.open = "socks5://" + hostPort(relay, openSocksPort)
	return nil
}

// lines gives the links their length and starts the gateway anew, so that it and
// the kernel's connections know nothing of another one.
func (r *setupRun) lines(ctx context.Context, rtt time.Duration) error {
	if r.gateway != nil {
		if err := r.StopGateway(syscall.SIGTERM); err != nil {
			return err
		}
	}
	r.Network.Link("dsl").Set(Line(30, 10, rtt))
	r.Network.Link("lte").Set(Line(20, 10, rtt+slowerBy))
	if err := r.StartGateway(ctx); err != nil {
		return err
	}
	if err := r.Warm(ctx); err != nil {
		return err
	}
	return sleep(ctx, time.Second)
}

// measure runs the instrument on the host home.
func (r *setupRun) measure(ctx context.Context, url string, args ...string) (*measure.Report, error) {
	binary, err := r.program()
	if err != nil {
		return nil, err
	}
	cmd := r.Network.Host("home").Command(ctx, binary, append(append([]string{"measure", "setup", "--json"}, args...), url)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var report measure.Report
	if jerr := json.Unmarshal(out, &report); jerr != nil {
		if err == nil {
			err = jerr
		}
		return nil, fmt.Errorf("measure: %w: %s", err, bytes.TrimSpace(errs.Bytes()))
	}
	return &report, nil // what failed is in it
}

const (
	helloURL = "http://" + ServerName + "/hello"
	sizedURL = "http://" + ServerName + "/bytes?n=%d"
)

// by returns the instrument's arguments for a way; the cold one is the warm one's.
func (r *setupRun) by(way string) []string {
	switch way {
	case WayOpen:
		return []string{"--mptcp", "--via", r.open}
	case WayPassword:
		return []string{"--mptcp", "--via", r.password}
	case WayPipelined:
		return []string{"--mptcp", "--pipelined", "--via", r.password}
	case WayCold, WayWarm, WayRecycled:
		return []string{"--via", r.Proxy("socks5")}
	case WayHTTP:
		return []string{"--via", r.Proxy("http")}
	case WayPeer:
		return peerVia(peerSocksPort)
	case WayPeerMux:
		return peerVia(peerMuxPort)
	}
	return nil
}

// curve measures all ways over lines of one length.
func (r *setupRun) curve(ctx context.Context, rtt time.Duration) error {
	count := r.lengths.count
	if rtt == referenceR {
		count = r.lengths.reference
	}
	r.step(3*time.Second+time.Duration(20*count)*(rtt+20*time.Millisecond), "setup time at R = %v", rtt)
	if err := r.lines(ctx, rtt); err != nil {
		return err
	}
	runs := map[string]*samples{}
	for range rounds {
		for _, way := range r.Setup.Ways {
			var err error
			if way == WayCold {
				err = r.cold(ctx, runs, count/rounds)
			} else {
				err = r.add(ctx, runs, way, helloURL, "--count", fmt.Sprint(count/rounds))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
		}
	}
	for _, way := range r.Setup.Ways {
		s := runs[way]
		r.Setup.Curve = append(r.Setup.Curve, CurvePoint{Way: way, RMs: ms(rtt), First: measure.NewSpread(s.first), Count: s.count, Failed: s.failed})
	}
	return nil
}

// rounds is how often the ways take turns, so that a busy moment of the machine
// does not hit one of them alone.
const rounds = 3

// samples are what one way's connections took.
type samples struct {
	first, last   []float64
	count, failed int
}

// add runs the instrument when the pool is filled with connections that have the
// past which belongs to the way, and enters what it finds.
func (r *setupRun) add(ctx context.Context, runs map[string]*samples, way, url string, args ...string) error {
	more, err := r.past(ctx, way, url, args)
	if err != nil {
		return err
	}
	return r.collect(ctx, runs, way, url, append(more, args...)...)
}

// collect runs the instrument when the pool is filled, and enters what it finds.
func (r *setupRun) collect(ctx context.Context, runs map[string]*samples, way, url string, args ...string) error {
	if err := r.Warm(ctx); err != nil {
		return err
	}
	m, err := r.measure(ctx, url, append(r.by(way), args...)...)
	if err != nil {
		return err
	}
	if runs[way] == nil {
		runs[way] = &samples{}
	}
	s := runs[way]
	for _, sample := range m.Runs[0].Samples {
		if s.count++; sample.Error != "" {
			s.failed++
			continue
		}
		s.first, s.last = append(s.first, sample.FirstByteMs), append(s.last, sample.LastByteMs)
	}
	return nil
}

// past gives the pool's connections the past that belongs to a way, and returns the
// instrument's arguments for that: a session that ends with a reset leaves its
// connection to nobody.
func (r *setupRun) past(ctx context.Context, way, url string, args []string) (more []string, err error) {
	switch way {
	case WayRecycled:
		if i := slices.Index(args, "--size"); i >= 0 {
			more = args[i : i+2]
		}
		if err = r.collect(ctx, map[string]*samples{}, way, url, append([]string{"--count", "1"}, more...)...); err == nil {
			err = sleep(ctx, recycledPause)
		}
		return []string{"--pause", recycledPause.String()}, err
	case WayWarm, WayHTTP:
		return []string{"--reset"}, r.discard(ctx)
	}
	return nil, nil
}

// discard has sessions end with a reset until one gets a connection that has carried
// none before.
func (r *setupRun) discard(ctx context.Context) error {
	for {
		before, err := r.Status(ctx)
		if err != nil {
			return err
		}
		if err := r.collect(ctx, map[string]*samples{}, WayWarm, helloURL, "--reset", "--count", "1"); err != nil {
			return err
		}
		after, err := r.Status(ctx)
		if err != nil || after.Pool.Recycled == before.Pool.Recycled {
			return err
		}
	}
}

// A pool is drained within drainTime by one request more than it has connections:
// quicker than it can be filled again, yet not all at once on one processor.
const drainTime = "10ms"

// cold measures requests that find no warm connection: in a burst of more than the
// pool holds, as many as it missed are the slowest ones.
func (r *setupRun) cold(ctx context.Context, runs map[string]*samples, count int) error {
	if runs[WayCold] == nil {
		runs[WayCold] = &samples{}
	}
	s := runs[WayCold]
	for tries, want := 0, len(s.first)+count; len(s.first) < want && tries < 2*count; tries++ {
		if err := r.Warm(ctx); err != nil {
			return err
		}
		before, err := r.Status(ctx)
		if err != nil {
			return err
		}
		burst := map[string]*samples{}
		if err := r.collect(ctx, burst, WayWarm, helloURL, "--reset", "--burst", fmt.Sprintf("%d/%s", before.Pool.Warm+1, drainTime)); err != nil {
			return err
		}
		after, err := r.Status(ctx)
		if err != nil {
			return err
		}
		all := slices.Sorted(slices.Values(burst[WayWarm].first))
		missed := min(len(all), int(after.Pool.Misses-before.Pool.Misses))
		s.first = append(s.first, all[len(all)-missed:]...)
		s.failed += burst[WayWarm].failed
		s.count = len(s.first) + s.failed
	}
	return nil
}

// atReference measures what the targets are about.
func (r *setupRun) atReference(ctx context.Context) error {
	r.step(2*time.Second, "the reference lines")
	if err := r.lines(ctx, referenceR); err != nil {
		return err
	}
	if err := r.ladders(ctx); err != nil {
		return err
	}
	for _, size := range r.lengths.sizes {
		if err := r.size(ctx, size); err != nil {
			return err
		}
	}
	for _, way := range r.withPeer(comparedWays, WayPeer, WayPeerMux) {
		if err := r.burst(ctx, way); err != nil {
			return fmt.Errorf("burst, %s: %w", way, err)
		}
	}
	return nil
}

// comparedWays are those by which whole answers are fetched, and bursts opened.
var comparedWays = []string{WayDirect, WayPassword, WayWarm}

func (r *setupRun) size(ctx context.Context, size int64) error {
	count := r.lengths.sizeCount
	if size >= r.lengths.large {
		count = r.lengths.largeCount
	}
	perConnection := 150*time.Millisecond + time.Duration(float64(size)*8/35e6*float64(time.Second))
	r.step(time.Duration(4*count)*perConnection, "%s each way", measure.SizeText(size))
	ways := append(r.withPeer(comparedWays, WayPeer), WayRecycled)
	runs := map[string]*samples{}
	for range rounds {
		for _, way := range ways {
			if err := r.add(ctx, runs, way, sizedURL, "--count", fmt.Sprint(count/rounds), "--size", fmt.Sprint(size)); err != nil {
				return fmt.Errorf("%s, %s: %w", way, measure.SizeText(size), err)
			}
		}
	}
	for _, way := range ways {
		s := runs[way]
		r.Setup.Sizes = append(r.Setup.Sizes, SizePoint{Way: way, Size: size, Last: measure.NewSpread(s.last), Count: s.count, Failed: s.failed})
	}
	return nil
}

// burst opens many connections after a rest. The gateway is started anew while
// the packets are captured, so that the keys of its warm connections are seen.
func (r *setupRun) burst(ctx context.Context, way string) error {
	r.step(r.lengths.rest+r.lengths.within+4*time.Second, "%d opens within %v after a rest, %s", r.lengths.opens, r.lengths.within, way)
	c, err := r.Network.Capture(false)
	if err != nil {
		return err
	}
	err = r.lines(ctx, referenceR)
	if err == nil {
		err = sleep(ctx, r.lengths.rest)
	}
	var m *measure.Report
	if err == nil {
		m, err = r.measure(ctx, sizedURL, append(r.by(way), "--burst", fmt.Sprintf("%d/%v", r.lengths.opens, r.lengths.within), "--size", r.lengths.burstBytes)...)
	}
	events, cerr := c.Stop()
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	run := m.Runs[0]
	p := BurstPoint{Way: way, First: run.First, Last: run.Last, Opens: len(run.Samples), Failed: run.Failed}
	port := uint16(RelayPort)
	if way == WayPeer {
		port = peerServerPort
	}
	if way != WayDirect && way != WayPeerMux { // its connections carry many streams at once
		p.Sessions, p.Joined = allJoined(bundles(events, port), len(r.Network.Links()))
	}
	r.Setup.Burst = append(r.Setup.Burst, p)
	return nil
}
