package config

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A rawFile is the file as it is written. Nil is a key that is not there.
type rawFile struct {
	Relay   rawRelay   `toml:"relay"`
	Gateway rawGateway `toml:"gateway"`
}

type rawRelay struct {
	State        *string   `toml:"state"`
	Listen       *string   `toml:"listen"`
	Also         *[]int64  `toml:"also"`
	Shadowsocks  *string   `toml:"shadowsocks"`
	Advertise    *string   `toml:"advertise"`
	AllowPrivate *bool     `toml:"allow_private"`
	TrustClear   *[]string `toml:"trust_clear"`
	PerAccount   *int64    `toml:"per_account"`
	Speed        *bool     `toml:"speed"`
}

type rawGateway struct {
	State *string    `toml:"state"`
	Join  *string    `toml:"join"`
	SOCKS *string    `toml:"socks"`
	API   *string    `toml:"api"`
	Open  *string    `toml:"open"`
	Link  *[]rawLink `toml:"link"`
}

type rawLink struct {
	Name         *string  `toml:"name"`
	Mode         *string  `toml:"mode"`
	Metered      *bool    `toml:"metered"`
	AllowanceGB  *float64 `toml:"allowance_gb"`
	AllowanceDay *int64   `toml:"allowance_day"`
	PricePerGB   *float64 `toml:"price_per_gb"`
}

// decode reads text into the raw form.
func decode(name string, text []byte, places places) (rawFile, error) {
	var raw rawFile
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&raw)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return raw, unknownCase(name, places)
	case errors.As(err, &unknown):
		var all []error
		for i := range unknown.Errors {
			line, _ := unknown.Errors[i].Position()
			at := places.on(line)
			what := "unknown key"
			if at.header {
				what = "unknown section"
			}
			all = append(all, &problem{name, at, errors.New(what)})
		}
		return raw, errors.Join(all...)
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return raw, &problem{name, places.on(line), places.explain(wrong)}
	}
	return raw, &problem{name, place{}, errors.New("is not a configuration in TOML")}
}

// unknownCase refuses keys with capitals, which the decoder takes for the same
// as small ones: then one key could be there twice, and one of them be ignored.
func unknownCase(name string, places places) error {
	var all []error
	for _, p := range places.list {
		for _, k := range p.path {
			if k != strings.ToLower(k) {
				all = append(all, &problem{name, p, errors.New("unknown key: keys have no capitals")})
				break
			}
		}
	}
	return errors.Join(all...)
}

// explain says what is wrong in our words, for the decoder's name Go types. Its
// words about broken TOML have nothing of the text in them.
func (all places) explain(err *toml.DecodeError) error {
	text := strings.TrimPrefix(err.Error(), "toml: ")
	switch {
	case all.broken:
		return errors.New("no valid TOML: " + text)
	case strings.Contains(text, "already"):
		return errors.New("is there twice")
	}
	return errors.New("want " + wanted(reflect.TypeFor[rawFile](), err.Key()))
}

// wanted describes the values that the key has.
func wanted(t reflect.Type, key []string) string {
	for {
		switch t.Kind() {
		case reflect.Pointer:
			t = t.Elem()
			continue
		case reflect.String:
			return "text in quotes"
		case reflect.Bool:
			return "true or false"
		case reflect.Int64:
			return "a whole number"
		case reflect.Float64:
			return "a number"
		case reflect.Slice:
			if t.Elem().Kind() == reflect.String {
				return "a list of texts, as [\"…\", \"…\"]"
			}
			if len(key) == 0 {
				return "a section for each, under [[…]]"
			}
			t = t.Elem()
			continue
		}
		if len(key) == 0 {
			return "a section, under […]"
		}
		next := t
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("toml") == key[0] {
				next = f.Type
			}
		}
		if next == t {
			return "a key that is known"
		}
		t, key = next, key[1:]
	}
}
