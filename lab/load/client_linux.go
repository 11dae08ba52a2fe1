package load

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What a client waits for. In the first steps messages[step] leaves when the
// waiting is over.
const (
	connecting = iota
	method     // the answer to its greeting
	verdict    // on its password
	reply      // to its request
	steps      = reply
)

// messages are what a client sends when it is connected, has its method, and is
// let in.
func messages(c Config) (m [steps][]byte) {
	m[connecting] = []byte{5, 1, 2}
	m[method] = append([]byte{1, byte(len(c.User))}, c.User...)
	m[method] = append(append(m[method], byte(len(c.Password))), c.Password...)
	to := c.To.Addr().As4()
	m[verdict] = append([]byte{5, 1, 0, 1}, to[:]...)
	m[verdict] = append(m[verdict], byte(c.To.Port()>>8), byte(c.To.Port()))
	return m
}

// answers are how each answer begins, and their lengths. A reply holds an IPv4
// address, which all servers send to a client that asked with one.
var answers = [...]struct {
	begins string
	length int
}{method: {"\x05\x02", 2}, verdict: {"\x01\x00", 2}, reply: {"\x05\x00\x00\x01", 10}}

// A client is one of the connections at once.
type client struct {
	fd   int
	step int
	got  int // bytes of the answer that it waits for
}

// open begins a client's next connection.
func (l *loop) open(i int) error {
	protocol := unix.IPPROTO_TCP
	if l.config.Multipath {
		protocol = unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	l.clients[i] = client{fd: fd}
	if err := unix.Connect(fd, l.via); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	return l.watch(fd, i, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLET)
}

// move goes on with a client whose socket has something to say. A failure is
// counted; an error is returned where the next connection cannot be begun.
func (l *loop) move(i int) error {
	done, err := l.step(&l.clients[i])
	if err != nil {
		l.result.Failed++
		if l.result.Failure == nil {
			l.result.Failure = err
		}
	}
	if !done && err == nil {
		return nil
	}
	unix.Close(l.clients[i].fd)
	l.clients[i].fd = -1
	return l.open(i)
}

// step does what a client can do without waiting; done says that its connection is
// over.
func (l *loop) step(c *client) (done bool, err error) {
	if c.step == connecting {
		switch err := l.send(c); err {
		case nil:
		case unix.EAGAIN, unix.ENOTCONN:
			return false, nil // not connected yet
		default:
			return false, fmt.Errorf("connect: %w", err)
		}
	}
	for {
		n, err := unix.Read(c.fd, l.buf[c.got:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("waiting for answer %d: %w", c.step, err)
		case n == 0:
			return false, fmt.Errorf("waiting for answer %d: hung up", c.step)
		}
		if done, err := l.answered(c, n); done || err != nil {
			return done, err
		}
	}
}

// answered takes n bytes of an answer. They stand in l.buf from c.got on; what
// stood before them was looked at when it came.
func (l *loop) answered(c *client, n int) (done bool, err error) {
	want := answers[c.step]
	for at := c.got; at < min(c.got+n, len(want.begins)); at++ {
		if l.buf[at] != want.begins[at] {
			return false, fmt.Errorf("answer %d is %x", c.step, l.buf[c.got:c.got+n])
		}
	}
	if c.got += n; c.got < want.length {
		return false, nil
	}
	if c.got > want.length {
		return false, fmt.Errorf("answer %d has %d bytes", c.step, c.got)
	}
	if c.step == reply {
		l.result.Connections++
		return true, nil
	}
	if err := l.send(c); err != nil {
		return false, fmt.Errorf("send message %d: %w", c.step, err)
	}
	return false, nil
}

// send sends what ends this step. A message that does not fit into an empty socket
// buffer whole is the kernel's failure.
func (l *loop) send(c *client) error {
	m := l.messages[c.step]
	n, err := unix.Write(c.fd, m)
	if err == nil && n < len(m) {
		err = unix.EMSGSIZE
	}
	if err == nil {
		c.step, c.got = c.step+1, 0
	}
	return err
}
