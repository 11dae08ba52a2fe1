package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"tributary/link"
)

//go:generate go test -run ^TestDocument$ -update

var update = flag.Bool("update", false, "write docs/config.md anew")

func TestReferenceIsGood(t *testing.T) {
	c, err := Parse("reference.toml", []byte(Reference()))
	if err != nil {
		t.Fatal(err)
	}
	// What has no default is an example there.
	d := Default()
	d.Relay.StateDir, d.Relay.Advertise, d.Relay.TrustClear, d.Relay.Also = c.Relay.StateDir, c.Relay.Advertise, c.Relay.TrustClear, c.Relay.Also
	d.Gateway.Relay, d.Gateway.Plans, d.Links = c.Gateway.Relay, c.Gateway.Plans, c.Links
	if !reflect.DeepEqual(c, d) {
		t.Errorf("reference.toml does not show the defaults:\ngot  %+v\nwant %+v", c, d)
	}
	for m := link.On; m.String() != "unknown"; m++ {
		if !strings.Contains(reference, `"`+m.String()+`"`) {
			t.Errorf("mode %s is not described", m)
		}
	}
}

func TestReferenceSetsEveryKey(t *testing.T) {
	raw, err := decode("reference.toml", []byte(reference), find([]byte(reference)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range unset(reflect.ValueOf(raw), "") {
		t.Errorf("reference.toml does not set %s", path)
	}
	if n := len(unset(reflect.ValueOf(rawFile{Gateway: rawGateway{Link: &[]rawLink{{}}}}), "")); n != 20 {
		t.Errorf("finds %d keys that are not set in an empty file, want all 20", n)
	}
}

// unset returns the keys under v that are nil, or that no entry of a list sets.
func unset(v reflect.Value, path string) (out []string) {
	for i := range v.NumField() {
		field := v.Field(i)
		name := strings.TrimPrefix(path+"."+v.Type().Field(i).Tag.Get("toml"), ".")
		switch {
		case field.Kind() == reflect.Struct:
			out = append(out, unset(field, name)...)
		case field.IsNil():
			out = append(out, name)
		case field.Elem().Kind() == reflect.Slice && field.Elem().Type().Elem().Kind() == reflect.Struct:
			if field.Elem().Len() == 0 {
				out = append(out, name)
				continue
			}
			out = append(out, unset(field.Elem().Index(0), name)...)
		}
	}
	return out
}

const document = "../docs/config.md"

func TestDocument(t *testing.T) {
	want := describe(reference)
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/config.md is not what reference.toml says: run go generate ./config")
	}
}

// describe turns the reference into a page: comments become text, and what stands
// under them becomes what they are about.
func describe(reference string) string {
	var b strings.Builder
	b.WriteString("<!-- Made from config/reference.toml by `go generate ./config`. Change that file. -->\n\n# Configuration\n")
	section := ""
	for i, block := range strings.Split(strings.TrimSpace(reference), "\n\n") {
		var text, code []string
		for _, line := range strings.Split(block, "\n") {
			if comment, ok := strings.CutPrefix(line, "#"); ok {
				text = append(text, strings.TrimPrefix(comment, " "))
			} else {
				code = append(code, line)
			}
		}
		switch {
		case i == 0:
		case len(code) == 1 && strings.HasPrefix(code[0], "["):
			section = strings.Trim(code[0], "[]")
			fmt.Fprintf(&b, "\n## `%s`\n", code[0])
			code = nil
		case len(code) == 1:
			key, _, _ := strings.Cut(code[0], " =")
			fmt.Fprintf(&b, "\n### `%s.%s`\n", section, key)
		}
		fmt.Fprintf(&b, "\n%s\n", strings.Join(text, "\n"))
		if len(code) > 0 {
			fmt.Fprintf(&b, "\n```toml\n%s\n```\n", strings.Join(code, "\n"))
		}
	}
	return b.String()
}
