package link

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tributary/mptcp/pm"
)

// lockName begins the name of an abstract Unix socket, which belongs to the network
// namespace and dies with its process: two managers of one role in one namespace
// would undo each other.
const lockName = "@tributary-"

// linux is the kernel of this host, in one network namespace.
type linux struct {
	route  *netlink.Handle
	pm     *pm.Client // nil: the kernel has no MPTCP
	events *events
	lock   net.Listener
	place  string

	stale atomic.Bool // seen is to be listed anew
	seen  *observed   // the routes, as listed last; nil: not yet
}

// openKernel opens the network namespace of the calling thread. If it can only
// be looked at, idle says why, and how that is changed.
func openKernel(role string, log *slog.Logger) (k kernel, idle string, err error) {
	l := &linux{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.place, err = place(); err != nil {
		return nil, "", err
	}
	if l.events, err = listen(log); err != nil {
		return nil, "", fmt.Errorf("listen for link events: %w", err)
	}
	if l.route, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, "", fmt.Errorf("open rtnetlink: %w", err)
	}
	l.pm, err = pm.New()
	if err != nil && !errors.Is(err, pm.ErrUnsupported) {
		return nil, "", err
	}
	idle, err = l.claim(role)
	return l, idle, err
}

// claim finds out whether this process may and can manage the links.
func (l *linux) claim(role string) (idle string, err error) {
	if l.pm == nil {
		return "this kernel has no MPTCP (CONFIG_MPTCP)", nil
	}
	if v, err := readSysctl("net/mptcp/enabled"); err == nil && v == "0" {
		return "MPTCP is switched off; switch it on with: sysctl -w net.mptcp.enabled=1", nil
	}
	now, err := l.pm.Limits()
	if err != nil {
		return "", err
	}
	// Setting what is set already changes nothing, and asks for the very right we need.
	if err := l.pm.SetLimits(now); errors.Is(err, fs.ErrPermission) {
		return "link management needs CAP_NET_ADMIN; run as root, give the unit AmbientCapabilities=CAP_NET_ADMIN, or the program: setcap cap_net_admin+ep PATH", nil
	} else if err != nil {
		return "", err
	}
	l.lock, err = net.Listen("unix", lockName+role)
	if errors.Is(err, unix.EADDRINUSE) {
		return "another " + role + " manages the kernel settings of this host; stop it first", nil
	}
	return "", err
}

func (l *linux) close() error {
	var errs []error
	if l.events != nil {
		errs = append(errs, l.events.close())
	}
	if l.pm != nil {
		errs = append(errs, l.pm.Close())
	}
	if l.route != nil {
		l.route.Close()
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

func (l *linux) alarm() *alarm { return l.events.alarm }
func (l *linux) where() string { return l.place }

func place() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify this boot: %w", err)
	}
	ns, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return "", fmt.Errorf("identify the network namespace: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + ns, nil
}

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", path))
	return strings.TrimSuffix(string(b), "\n"), err
}

func writeSysctl(s sysctl) error {
	// No O_CREATE: a setting that the kernel lacks is ENOENT, not EACCES.
	f, err := os.OpenFile(filepath.Join("/proc/sys", s.path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.value + "\n")
	return errors.Join(err, f.Close())
}
