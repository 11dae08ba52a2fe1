package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"tributary/lab/page"
)

// A browser is an installed Chromium.
type browser struct {
	program string
	host    *Host
	// key is the hash of the public key that it takes for genuine.
	key string
}

// findBrowser returns the program, by any of its usual names.
func findBrowser() (program string, err error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if program, err = exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", &MissingError{"no Chromium", nil, "apt-get install chromium"}
}

// browserFlags make it show nothing and ask for nothing of its own accord. The
// upgrade to HTTPS that is switched off would make two loads of one.
var browserFlags = []string{
	"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
	"--no-first-run", "--no-default-browser-check", "--disable-sync", "--disable-extensions", "--disable-default-apps",
	"--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
	"--disable-client-side-phishing-detection", "--disable-breakpad", "--disable-crash-reporter", "--no-pings",
	"--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,MediaRouter,OptimizationHints,Translate,DialMediaRouteProvider",
	"--proxy-bypass-list=*.google.com;*.googleapis.com", // see browserNames
	"--metrics-recording-only", "--password-store=basic", "--use-mock-keychain", "--mute-audio", "--window-size=1280,900",
}

// browserNames are rules by which what it still asks its maker for finds no name.
const browserNames = "MAP *.google.com ~NOTFOUND,MAP *.googleapis.com ~NOTFOUND"

// loadTime is what one load may take, with the start of the browser.
const loadTime = 40 * time.Second

// load opens the page in a browser that has never run before and returns what it
// says of it. Nothing of it stays.
func (b *browser) load(ctx context.Context, site *page.Site, scheme string, flags ...string) (l *page.Load, err error) {
	home, err := os.MkdirTemp("", "tributary-browser-")
	if err != nil {
		return nil, fmt.Errorf("make a browser's profile: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, loadTime, errors.New("it took too long"))
	defer cancel()
	args := append(append([]string{
		"--user-data-dir=" + home, "--ignore-certificate-errors-spki-list=" + b.key, "--host-resolver-rules=" + browserNames,
	}, browserFlags...), flags...)
	cmd := b.host.Command(ctx, b.program, append(args, scheme+"://"+page.StartHost+"/")...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TMPDIR="+home)
	cmd.SysProcAttr.Setpgid = true
	var said bytes.Buffer
	cmd.Stderr = &said
	site.Begin()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// Its helpers are in its group, and live on when it is killed alone.
	end := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = end
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
		cancel()
	}()
	l, err = site.Wait(ctx)
	end()
	<-ended
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(said.String()))
	}
	return l, nil
}

// version is the name and version that it gives itself.
func (b *browser) version(ctx context.Context) (string, error) {
	cmd := b.host.Command(ctx, b.program, "--version")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask the browser for its version: %w", err)
	}
	name, _, _ := strings.Cut(lastLine(string(out)), " built on")
	return name, nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
