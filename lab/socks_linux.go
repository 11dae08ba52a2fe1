package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// openSocksPort is where [Network.serveSOCKS] listens, on the host "relay".
const openSocksPort = 1081

// serveSOCKS runs a SOCKS5 server without password over Multipath TCP, as those of
// the literature are: it answers each message and knows nothing better. Our relay
// takes nobody without a password. It serves until ctx ends; wait waits for it.
func (n *Network) serveSOCKS(ctx context.Context) (wait func(), err error) {
	l, err := n.Host("relay").ListenMPTCP(ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", openSocksPort))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	var loops sync.WaitGroup
	loops.Go(func() {
		defer stop()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			loops.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				n.socksSession(ctx, c)
			})
		}
	})
	return loops.Wait, nil
}

// socksSession is RFC 1928 as far as its happiest case: no authentication, CONNECT
// to a name. Whatever else comes ends it.
func (n *Network) socksSession(ctx context.Context, c net.Conn) {
	var b [260]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil || b[0] != 5 {
		return
	}
	if _, err := io.ReadFull(c, b[:b[1]]); err != nil {
		return
	}
	if _, err := c.Write([]byte{5, 0}); err != nil {
		return
	}
	if _, err := io.ReadFull(c, b[:5]); err != nil || b[1] != 1 || b[3] != 3 {
		return
	}
	name := b[5 : 5+int(b[4])+2]
	if _, err := io.ReadFull(c, name); err != nil {
		return
	}
	port := int(name[len(name)-2])<<8 | int(name[len(name)-1])
	far, err := n.Host("relay").DialContext(ctx, "tcp4", net.JoinHostPort(string(name[:len(name)-2]), fmt.Sprint(port)))
	if err != nil {
		return
	}
	defer far.Close()
	if _, err := c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return
	}
	var up sync.WaitGroup
	defer up.Wait()
	up.Go(func() {
		io.Copy(far, c)
		far.(*net.TCPConn).CloseWrite()
	})
	io.Copy(c, far)
	c.Close() // ends the way up
}
