package bundle

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tributary/link"
)

// What was recorded in the lab, with TRIBUTARY_TRACE, is decided as it was then: each
// file has beside it what became of the roles, and when.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no traces", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".jsonl"), func(t *testing.T) {
			got := replay(t, name)
			want, err := os.ReadFile(strings.TrimSuffix(name, ".jsonl") + ".want")
			if err != nil || got != string(want) {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

func replay(t *testing.T, name string) string {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var m Mind
	var out strings.Builder
	roles := map[string]link.Role{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var b Bundle
		if err := json.Unmarshal(lines.Bytes(), &b); err != nil {
			t.Fatal(err)
		}
		parts, _ := m.Decide(b)
		for _, o := range b.Links {
			p := parts[o.Link]
			if was, known := roles[o.Link]; !known || was != p.Role {
				fmt.Fprintf(&out, "%.1f s %s %s: %s. %s\n", b.At.Round(100*time.Millisecond).Seconds(), o.Link, p.Role, p.Reason, p.Why)
				roles[o.Link] = p.Role
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
