package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// A processors is how long this machine's processors have been in use and at rest,
// in ticks since its start.
type processors struct{ busy, rest float64 }

// readProcessors reads the first line of proc_stat(5). Time that other machines on
// the same hardware took counts as use: it is not there for us.
func readProcessors() (p processors, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p, err
	}
	line, _, err := bufio.NewReader(bytes.NewReader(b)).ReadLine()
	if err != nil {
		return p, err
	}
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return p, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, f := range fields[1:9] { // what guests took is in it already
		n, err := strconv.ParseFloat(string(f), 64)
		if err != nil {
			return p, fmt.Errorf("/proc/stat: %w", err)
		}
		if i == 3 || i == 4 { // idle, waiting for a disk
			p.rest += n
		} else {
			p.busy += n
		}
	}
	return p, nil
}

// busySince is the share of all processors that was in use, in percent.
func (p processors) busySince(was processors) float64 {
	busy, rest := p.busy-was.busy, p.rest-was.rest
	if busy+rest <= 0 {
		return 0
	}
	return 100 * busy / (busy + rest)
}
