//go:build linux

package lab

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOwnThreadIsNeverTheFirst(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				onOwnThread(func() error {
					if unix.Gettid() == os.Getpid() {
						t.Error("ran on the process's first thread")
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	want := errors.New("told")
	if err := onOwnThread(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
	if err := onOwnThread(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that ended its goroutine succeeded")
	}
}
