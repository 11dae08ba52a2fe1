package gateway

import "testing"

func TestHasOthers(t *testing.T) {
	dsl, dsl6, lte := source{link: "dsl"}, source{link: "dsl"}, source{link: "lte"}
	for name, c := range map[string]struct {
		four, six []source
		want      bool
	}{
		"none":              {nil, nil, false},
		"who knows":         {[]source{{}}, []source{{}}, false},
		"one, both ways":    {[]source{dsl}, []source{dsl6}, false},
		"two":               {[]source{dsl, lte}, nil, true},
		"two, one each way": {[]source{dsl}, []source{lte}, true},
	} {
		u := &upstream{sources: func(v6 bool) []source {
			if v6 {
				return c.six
			}
			return c.four
		}}
		if got := u.hasOthers(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
