//go:build linux

package lab

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// A wrong answer cannot make a figure good.
func TestWrongAnswersCount(t *testing.T) {
	var b caseBook
	for range 3 {
		b.enter("a case", "SOCKS5", "5", 1, false)
		b.enter("a case", "HTTP", "502", 60, true)
	}
	c := b.finish()[0]
	if c.Ms.P95 != wrongMs || c.By["SOCKS5"].Ms.Median != wrongMs || c.By["HTTP"].Ms.Median != 60 {
		t.Errorf("%+v", c)
	}
	r := &Report{}
	(&AnswerTimes{Honest: []*AnswerCase{c}}).judge(r)
	for _, f := range r.Figures {
		if strings.Contains(f.Name, "p95") && *f.Met || strings.HasPrefix(f.Name, "answers that were wrong, of 6") && (f.Value != 3 || *f.Met) {
			t.Errorf("%+v", f)
		}
	}
}

func TestUnreachable(t *testing.T) {
	p := make([]byte, 60)
	p[0], p[9] = 0x45, 6
	binary.BigEndian.PutUint16(p[2:], 60)
	copy(p[12:], []byte{11, 100, 0, 2})
	for number, code := range map[int]byte{farNoHost: 1, farNoNetwork: 0} {
		to := farAddr(number, 7).As4()
		copy(p[16:], to[:])
		r := unreachable(p)
		if len(r) != 56 || r[20] != 3 || r[21] != code || rfc1071(r[:20]) != 0 || rfc1071(r[20:]) != 0 {
			t.Errorf("%d: % x", number, r)
		}
		if got := netip.AddrFrom4([4]byte(r[16:20])); got != leg4(legRelay, hostEnd).Addr() {
			t.Errorf("%d: to %s", number, got)
		}
	}
	p[9] = 1 // no ICMP error about ICMP
	if r := unreachable(p); r != nil {
		t.Errorf("about ICMP: % x", r)
	}
	if r := unreachable(p[:20]); r != nil {
		t.Errorf("about nothing: % x", r)
	}
}

// A short run of the scenario "answers" has every case and no wrong answer.
func TestAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	s, _ := ByName("answers")
	s.run = func(ctx context.Context, t *trial) error { return answersWith(ctx, t, 1) }
	r := runScenario(t, s)
	if r.Answers == nil || len(r.Answers.Honest) != 5 || len(r.Answers.Auto) != 11 || len(r.Answers.Banners) != 3 {
		t.Fatalf("%+v", r.Answers)
	}
	var page strings.Builder
	r.Answers.WriteSection(&page)
	if n := strings.Count(page.String(), "\n| "); n != 5+11+3+3 {
		t.Errorf("%d rows:\n%s", n, page.String())
	}
}
