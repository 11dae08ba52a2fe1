//go:build !unix

package main

import "os"

func openKeys() *os.File { return os.Stdin }

func watchTerminal(resized, stopped chan os.Signal) {}

// stopProcess does nothing: there is no way to be stopped.
func stopProcess() {}
