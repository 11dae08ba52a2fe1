package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var errClosed = errors.New("the network is closed")

// A namespace is an anonymous network and mount namespace. Nothing but its two
// descriptors and whatever runs inside keeps it alive.
type namespace struct {
	mu       sync.RWMutex // no descriptor is closed, and its number used anew, while somebody enters
	net, mnt int
	netlink  *netlink.Handle
}

// newNamespace makes a namespace with lo up, a sysfs of its own, and files
// (by their absolute path) replaced by the given texts.
func newNamespace(files map[string]string) (*namespace, error) {
	ns := &namespace{net: -1, mnt: -1}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a namespace: %w (root is needed)", err)
		}
		return ns.furnish(files)
	})
	if err != nil {
		ns.close()
		return nil, err
	}
	return ns, nil
}

func (ns *namespace) furnish(files map[string]string) (err error) {
	// Else our mounts would spread to the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if ns.net, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	if ns.mnt, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open the mount namespace: %w", err)
	}
	if err := replaceFiles(files); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount sysfs: %w", err)
	}
	if ns.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	lo, err := ns.netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := ns.netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// replaceFiles mounts a text over each path. The texts need a file system to
// live in while they are bound: a tmpfs over /sys, which every system has and
// which is mounted afresh afterwards anyway. The binds outlive it.
func replaceFiles(files map[string]string) error {
	if err := unix.Mount("tmpfs", "/sys", "tmpfs", 0, "mode=0755,size=64k"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	for path, text := range files {
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fmt.Errorf("replace %s: %w", path, err)
		}
		source := "/sys/" + filepath.Base(path)
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			return fmt.Errorf("replace %s: %w", path, err)
		}
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind over %s: %w", target, err)
		}
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the tmpfs: %w", err)
	}
	return nil
}

// do runs fn on a thread inside the namespace. The thread is fn's own and ends
// with it; goroutines that fn starts run outside.
func (ns *namespace) do(fn func() error) error {
	return onOwnThread(func() error {
		if err := ns.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves the calling thread into the namespace for good.
func (ns *namespace) enter() error {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	if ns.net < 0 {
		return errClosed
	}
	// A thread that shares its working directory with others, as Go's do, may not
	// change its mount namespace: setns(2), EINVAL.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the working directory: %w", err)
	}
	if err := unix.Setns(ns.net, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	if err := unix.Setns(ns.mnt, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the mount namespace: %w", err)
	}
	return nil
}

// routing returns the netlink handle of the namespace. A closed one would speak
// to the machine's own namespace instead.
func (ns *namespace) routing() (*netlink.Handle, error) {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	if ns.netlink == nil {
		return nil, errClosed
	}
	return ns.netlink, nil
}

func (ns *namespace) close() error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.netlink != nil {
		ns.netlink.Close()
		ns.netlink = nil
	}
	var errs []error
	for _, fd := range []*int{&ns.net, &ns.mnt} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// onOwnThread runs fn on a thread that ends with it, so that fn may change the
// thread as it likes. The process's first thread cannot end and would keep a
// namespace alive, so it only stands aside while another is taken.
func onOwnThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onOwnThread(fn)
			runtime.UnlockOSThread()
			return
		}
		err := errors.New("the function ended its goroutine")
		defer func() { done <- err }()
		err = fn()
	}()
	return <-done
}
