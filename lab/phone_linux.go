package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"tributary/measure/phone"
)

const (
	phoneSeed        = 2016
	phoneConnections = 600
	phoneStarts      = 60 * time.Second // within which they begin
	phoneLast        = 30 * time.Second // that the longest takes
	phoneTime        = time.Minute      // that a connection may take
)

// phonePorts are the final servers' for each kind of connection. A gateway knows of
// 443 alone who speaks first there.
var phonePorts = map[phone.Kind]int{phone.Web: 443, phone.Other: 5228, phone.Greeter: 143}

// greeting is what a server says that speaks first.
const greeting = "* OK the lab is ready for what a phone may want to ask of a server\r\n"

func phoneDay(ctx context.Context, t *trial) error {
	return phoneDayWith(ctx, t, phoneConnections, phoneStarts)
}

// phoneDayWith carries the day out by both ways at the same time, each in a network
// of its own: the links carry 2 Mbit/s of it, and a busy moment of the machine hits
// both.
func phoneDayWith(ctx context.Context, t *trial, n int, starts time.Duration) error {
	day := phone.Day(phoneSeed, n, starts)
	plain, err := New(ctx, Config{})
	if err != nil {
		return err
	}
	defer plain.Close()
	for _, network := range []*Network{plain, t.Network} {
		if err := network.makeFar(0); err != nil {
			return err
		}
		if err := network.server.servePhone(network.Host("server")); err != nil {
			return err
		}
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	p := newPhoneDay(day, starts)
	t.step(starts+phoneLast, "a phone's day")
	direct := Dialer{Host: plain.Host("home")} // by the preferred default route
	errs := make([]error, len(p.Ways))
	var ways sync.WaitGroup
	for i, dial := range []phoneDialer{
		func(ctx context.Context, c phone.Connection) (net.Conn, error) {
			return direct.DialContext(ctx, "tcp", hostPort(farAddr(farOwn, c.Server), phonePorts[c.Kind]))
		},
		func(ctx context.Context, c phone.Connection) (net.Conn, error) {
			return t.ask(ctx, askSOCKS5, farAddr(farOwn, c.Server).String(), phonePorts[c.Kind])
		},
	} {
		ways.Go(func() { p.Waits[i], p.Failed[i], errs[i] = liveThrough(ctx, day, dial) })
	}
	ways.Wait()
	for i, err := range errs {
		t.check("the first error, "+p.Ways[i], err == nil, "%v", orOK(err))
	}
	t.Phone = p
	p.judge(t.Report)
	return ctx.Err()
}

// newPhoneDay says which day it is.
func newPhoneDay(day []phone.Connection, starts time.Duration) *PhoneDay {
	p := &PhoneDay{
		Connections: len(day), Seconds: starts.Seconds(),
		Ways: []string{"plain TCP, best link", "Tributary"}, Waits: make([][]float64, 2), Failed: make([]int, 2),
	}
	for _, c := range day {
		p.Bytes += c.Bytes()
		p.Size, p.Greeted = append(p.Size, c.Bytes()), append(p.Greeted, c.Kind == phone.Greeter)
		if c.RealSeconds < 10 {
			p.Under10s += 100 / float64(len(day))
		}
		if c.Bytes() < 10_000 {
			p.Under10kB += 100 / float64(len(day))
		}
	}
	return p
}

// A phoneDialer opens a connection of the day.
type phoneDialer func(context.Context, phone.Connection) (net.Conn, error)

// liveThrough makes all connections of a day at their times, and returns how long
// each had to be waited for, in ms, how many failed and the first error.
func liveThrough(ctx context.Context, day []phone.Connection, dial phoneDialer) (waits []float64, failed int, err error) {
	waits = make([]float64, len(day))
	errs := make([]error, len(day))
	var all sync.WaitGroup
	began := time.Now()
	for i, c := range day {
		if sleep(ctx, time.Until(began.Add(c.Start))) != nil {
			break
		}
		all.Go(func() {
			var wait time.Duration
			if wait, errs[i] = live(ctx, c, dial); errs[i] == nil {
				waits[i] = ms(wait)
			}
		})
	}
	all.Wait()
	for i, e := range errs {
		if e == nil {
			continue
		}
		failed++
		if err == nil { // one is enough to see
			err = fmt.Errorf("connection %d of %d bytes: %w", i, day[i].Bytes(), e)
		}
	}
	return waits, failed, err
}

// live makes one connection and returns how long it had to be waited for.
func live(ctx context.Context, c phone.Connection, dial phoneDialer) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, phoneTime)
	defer cancel()
	began := time.Now()
	conn, err := dial(ctx, c)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if c.Kind == phone.Greeter {
		if _, err := io.ReadFull(conn, make([]byte, len(greeting))); err != nil {
			return 0, fmt.Errorf("read the greeting: %w", err)
		}
	}
	wait := time.Since(began)
	for _, e := range c.Exchanges {
		if err := sleep(ctx, e.Pause); err != nil {
			return 0, err
		}
		asked := time.Now()
		question := make([]byte, e.Up)
		binary.BigEndian.PutUint32(question, uint32(e.Up))
		binary.BigEndian.PutUint32(question[4:], uint32(e.Down))
		if _, err := conn.Write(question); err != nil {
			return 0, fmt.Errorf("ask: %w", err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(e.Down)); err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		wait += time.Since(asked)
	}
	return wait, sleep(ctx, c.Linger)
}

// servePhone opens the servers of a phone's day: they answer questions that begin
// with their own length and that of the answer.
func (s *Server) servePhone(h *Host) error {
	for i := range phone.Servers {
		for kind, port := range phonePorts {
			l, err := h.listen(context.Background(), "tcp", hostPort(farAddr(farOwn, i), port), false)
			if err != nil {
				return err
			}
			s.closers = append(s.closers, l)
			serve := s.each(func(c net.Conn) { answerPhone(c, kind == phone.Greeter) })
			s.loops.Go(func() { serve(seenListener{l, s}) })
		}
	}
	return nil
}

func answerPhone(c net.Conn, greets bool) {
	if greets {
		io.WriteString(c, greeting)
	}
	var head [8]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		up, down := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		if _, err := io.CopyN(io.Discard, c, int64(up)-int64(len(head))); err != nil {
			return
		}
		if _, err := io.CopyBuffer(c, Content(int64(down)), make([]byte, 32<<10)); err != nil {
			return
		}
	}
}
