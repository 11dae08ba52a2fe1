package layout_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"tributary/proto/httpconnect"
	"tributary/proto/socks"
	"tributary/proxy"
)

// section returns what is between a heading and the next of its rank.
func section(text, heading string) string {
	_, rest, _ := strings.Cut(text, "\n"+heading+"\n")
	rank, _, _ := strings.Cut(heading, " ")
	part, _, _ := strings.Cut(rest, "\n"+rank+" ")
	return part
}

// cells returns the rows of the first table in text, without its head.
func cells(text string) (rows [][]string) {
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			if rows != nil {
				break
			}
			continue
		}
		row := strings.Split(strings.Trim(line, "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		rows = append(rows, row)
	}
	return rows[min(2, len(rows)):]
}

// TestCodesInDocument holds docs/protocol.md against the codecs' own tables.
func TestCodesInDocument(t *testing.T) {
	text, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, row := range cells(section(string(text), "## Outcomes and codes")) {
		reason, _, _ := strings.Cut(row[0], " (")
		told[reason] = strings.Join(row[1:], " ")
	}
	for _, r := range proxy.Reasons() {
		status, _ := httpconnect.Status(r)
		want := fmt.Sprintf("%d %d %d", socks.Code(r), socks.Code4(r), status)
		if got := told[r.String()]; got != want {
			t.Errorf("%s: the document says %q, the codecs %q", r, got, want)
		}
		delete(told, r.String())
	}
	for reason := range told {
		t.Errorf("the document has %q, which is no reason", reason)
	}
}

// checkLogFields holds the names of log fields against docs/operations.md. The
// lab is an instrument and speaks to its own users.
func checkLogFields(tr *tree) (faults []string) {
	var told []string
	for _, row := range cells(section(tr.texts["docs/operations.md"], "## Logs")) {
		for _, m := range mdCode.FindAllStringSubmatch(row[0], -1) {
			told = append(told, m[1])
		}
	}
	used := ""
	for _, f := range tr.goFiles {
		if f.test || f.pkg == "lab" {
			continue
		}
		used += tr.texts[f.name]
		for _, key := range f.logKeys {
			if !slices.Contains(told, key) {
				faults = append(faults, fmt.Sprintf("%s: log field %q is not in docs/operations.md", f.name, key))
			}
		}
	}
	for _, key := range told {
		if !strings.Contains(used, `"`+key+`"`) {
			faults = append(faults, fmt.Sprintf("docs/operations.md: nothing logs the field %q", key))
		}
	}
	return faults
}
