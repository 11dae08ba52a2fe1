package lab

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/mdlayher/genetlink"
	mnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernelState returns what of a host's kernel state a program may change: a line
// per rule, route of any table, MPTCP endpoint and limit, and sysctl below net.
func (h *Host) kernelState() (lines []string, err error) {
	nl, err := h.ns.routing()
	if err != nil {
		return nil, err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := nl.RuleList(family)
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			lines = append(lines, fmt.Sprintf("rule %d %v proto %d", family, r, r.Protocol))
		}
		routes, err := nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			lines = append(lines, fmt.Sprintf("route %d %v proto %d priority %d", family, r, r.Protocol, r.Priority))
		}
	}
	endpoints, err := h.pathManager()
	if err != nil {
		return nil, err
	}
	sysctls, err := h.sysctls()
	if err != nil {
		return nil, err
	}
	return append(append(lines, endpoints...), sysctls...), nil
}

// From linux/mptcp_pm.h.
const (
	pmGetAddr    = 3
	pmGetLimits  = 6
	pmAttrAddr   = 1
	pmRcvAddAddr = 2
	pmSubflows   = 3
	addrAddr4    = 3
	addrAddr6    = 4
	addrFlags    = 6
	addrIndex    = 7
)

// pathManager lists endpoints, without their numbers, and limits.
func (h *Host) pathManager() (lines []string, err error) {
	c, err := genetlink.Dial(&mnl.Config{NetNS: h.NetNS()})
	if err != nil {
		return nil, fmt.Errorf("open the path manager: %w", err)
	}
	defer c.Close()
	family, err := c.GetFamily("mptcp_pm")
	if err != nil {
		return nil, fmt.Errorf("find the path manager: %w", err)
	}
	for command, flags := range map[uint8]mnl.HeaderFlags{pmGetAddr: mnl.Dump, pmGetLimits: 0} {
		msg := genetlink.Message{Header: genetlink.Header{Command: command, Version: 1}}
		answers, err := c.Execute(msg, family.ID, mnl.Request|flags)
		if err != nil {
			return nil, fmt.Errorf("ask the path manager: %w", err)
		}
		for _, a := range answers {
			line, err := pathManagerLine(a.Data)
			if err != nil {
				return nil, fmt.Errorf("answer of the path manager: %w", err)
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func pathManagerLine(b []byte) (line string, err error) {
	d, err := mnl.NewAttributeDecoder(b)
	if err != nil {
		return "", err
	}
	for d.Next() {
		switch d.Type() {
		case pmRcvAddAddr:
			line += fmt.Sprintf("limit add_addr_accepted %d ", d.Uint32())
		case pmSubflows:
			line += fmt.Sprintf("limit subflows %d ", d.Uint32())
		case pmAttrAddr:
			line += "endpoint"
			d.Nested(func(d *mnl.AttributeDecoder) error {
				for d.Next() {
					switch d.Type() {
					case addrAddr4, addrAddr6:
						a, _ := netip.AddrFromSlice(d.Bytes())
						line += " " + a.String()
					case addrFlags:
						line += fmt.Sprintf(" flags %#x", d.Uint32())
					case addrIndex:
						line += fmt.Sprintf(" dev %d", d.Int32())
					}
				}
				return nil
			})
		}
	}
	return line, d.Err()
}

// sysctls lists all below net, without those that nobody sets.
func (h *Host) sysctls() (lines []string, err error) {
	err = h.Do(func() error {
		return filepath.WalkDir("/proc/sys/net", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.HasSuffix(path, "/nf_conntrack_count") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil // some are for writing only, some need a value first
			}
			lines = append(lines, strings.ReplaceAll(strings.TrimPrefix(path, "/proc/sys/"), "/", ".")+" = "+strings.TrimSpace(string(b)))
			return nil
		})
	})
	return lines, err
}
