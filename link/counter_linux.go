package link

import "github.com/vishvananda/netlink"

// ethernetHeader is two addresses and a type (IEEE 802.3); ETH_HLEN of
// linux/if_ether.h. Drivers count it, but not the checksum behind.
const ethernetHeader = 14

// counters reads rtnl_link_stats64 of linux/if_link.h.
func (l *linux) counters() (map[int]Counter, error) {
	links, err := whole(l.route.LinkList)
	if err != nil {
		return nil, err
	}
	by := map[int]Counter{}
	for _, ln := range links {
		a, c := ln.Attrs(), Counter{}
		if a.Statistics == nil {
			continue
		}
		if a.EncapType == "ether" {
			c.Header = ethernetHeader
		}
		s := (*netlink.LinkStatistics64)(a.Statistics)
		c.RxBytes, c.RxPackets, c.TxBytes, c.TxPackets = s.RxBytes, s.RxPackets, s.TxBytes, s.TxPackets
		by[a.Index] = c
	}
	return by, nil
}
