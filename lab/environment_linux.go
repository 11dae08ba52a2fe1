package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Here describes this machine, without naming it.
func Here() Environment { return environment() }

func environment() Environment {
	e := Environment{Date: time.Now().Truncate(time.Second), Program: "unknown commit", Kernel: "Linux"}
	if b, ok := debug.ReadBuildInfo(); ok {
		settings := map[string]string{}
		for _, s := range b.Settings {
			settings[s.Key] = s.Value
		}
		if rev := settings["vcs.revision"]; len(rev) >= 12 {
			e.Program = "commit " + rev[:12]
			if settings["vcs.modified"] == "true" {
				e.Program += " with changes"
			}
		}
		e.Program += ", " + b.GoVersion
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		e.Kernel = "Linux " + unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil {
		e.Congestion = strings.TrimSpace(string(b)) // every host of the lab has the machine's
	}
	e.Machine = fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH)
	if model := cpuModel(); model != "" {
		e.Machine += ", " + model
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		e.Machine += fmt.Sprintf(", %d GiB of memory", (uint64(info.Totalram)*uint64(info.Unit)+1<<29)>>30)
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if words := strings.Fields(string(b)); len(words) > 2 {
			e.Load = strings.Join(words[:3], ", ") + " (1, 5 and 15 minutes)"
		}
	}
	return e
}

// cpuModel reads proc_cpuinfo(5); some architectures tell none.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
