package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// cutTable is the nftables table of a link that was cut off for a test. Nothing else
// uses it.
const cutTable = "tributary_cut"

// A linkCut takes a link away as if it had gone silent: what the relay sends over it
// is dropped when it arrives. The kernel itself gives it back, for the rule matches
// a set whose one element has a time to live. So a crash leaves an empty set behind
// and no link that is dead.
//
// What goes out is left alone: the kernel tells a sender of a packet that it drops
// itself, and then the link would not be silent.
type linkCut struct {
	link  string
	relay []netip.Addr
}

// script is what nft(8) is given. The table is made anew each time.
func (c linkCut) script(length time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "add table inet %[1]s\ndelete table inet %[1]s\nadd table inet %[1]s\n", cutTable)
	fmt.Fprintf(&b, "add set inet %s links { type ifname; flags timeout; }\n", cutTable)
	fmt.Fprintf(&b, "add chain inet %s arrived { type filter hook prerouting priority -300; }\n", cutTable)
	for _, a := range c.relay {
		family := "ip"
		if a.Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "add rule inet %s arrived iifname @links %s saddr %s drop\n", cutTable, family, a)
	}
	fmt.Fprintf(&b, "add element inet %s links { \"%s\" timeout %dms }\n", cutTable, c.link, length.Milliseconds())
	return b.String()
}

// cut takes the link away for some time.
func (c linkCut) cut(ctx context.Context, length time.Duration) error {
	return nft(ctx, c.script(length))
}

// undo takes the table away. Nobody but the tidy misses it.
func (c linkCut) undo() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return nft(ctx, fmt.Sprintf("add table inet %[1]s\ndelete table inet %[1]s\n", cutTable))
}

func nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return &hintedError{errors.New("--cut needs the program nft, which is not installed"), "install nftables, or unplug the link by hand"}
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return &hintedError{fmt.Errorf("nft: %w: %s", err, line), "--cut needs root"}
	}
	return nil
}
