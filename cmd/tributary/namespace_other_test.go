//go:build !linux

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func namespace(*testing.T) int { return inPlace }

type far struct{}

func (*far) do(f func() error) error { return f() }

func (s *script) network(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("needs Linux") }
func (s *script) kernel(ts *testscript.TestScript, _ bool, _ []string)  { ts.Fatalf("needs Linux") }

// signal ends the process: there may be no other signal.
func (s *script) signal(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(s.running[args[0]].cmd.Process.Kill())
}
