package main

import (
	"os"
	"strings"
	"unsafe"
)

// hideSecret blanks a secret in the process's arguments, which every user of the
// host can list. The Go runtime's os.Args are the very bytes that the kernel
// shows; secret must be a copy of its own.
func hideSecret(secret string) {
	if len(secret) < 2 {
		return
	}
	for _, arg := range os.Args {
		if i := strings.Index(arg, secret); i >= 0 {
			b := unsafe.Slice(unsafe.StringData(arg), len(arg))
			for j := range len(secret) {
				b[i+j] = 'x'
			}
		}
	}
}
