// Package page is a web page to measure browsers with: 60 resources over 12
// hosts, always the same bytes, and a script by which the browser hands over the
// times that it took itself.
//
// A [Page] is the bytes, a [Site] serves them and waits for the [Load] that the
// browser reports.
package page

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Hosts are the names that the page is spread over; the page itself is on the
// first. They stand for the site's own servers, what it rents and what it embeds.
// Another one, [StartHost], is for the page before it.
var hostNames = [...]string{
	"www.news.lab", "static.news.lab", "img.news.lab", "media.news.lab", "fonts.lab", "cdn.lab",
	"ajax.lab", "ads.lab", "stats.lab", "tags.lab", "social.lab", "video.lab",
}

// Hosts returns the names that the page is spread over, the page's own first.
func Hosts() []string { return slices.Clone(hostNames[:]) }

// StartHost serves the page that the browser begins with. It has a name of its
// own, so that nothing of the measured page's hosts is known before.
const StartHost = "start.lab"

// Count is how many resources the page has besides itself.
const Count = 60

// A Resource is something that the page needs.
type Resource struct {
	Host string
	Path string // begins with a slash
	Type string // MIME
	Body []byte
	// Depth is 1 for what the page itself names and 2 for what a style sheet or a
	// script names, which a browser cannot know before it has that.
	Depth int
}

// URL returns the resource's address without a scheme: that of the page counts.
func (r Resource) URL() string { return "//" + r.Host + r.Path }

// A Page is a page with all that it needs.
type Page struct {
	HTML      []byte
	Resources []Resource
}

// Bytes is how much a load of the page brings, bodies alone.
func (p *Page) Bytes() int {
	n := len(p.HTML)
	for _, r := range p.Resources {
		n += len(r.Body)
	}
	return n
}

// Chosen by us, after what pages of today weigh: sizes are spread as the logarithm
// of a normal distribution, with this median.
const (
	medianBytes = 12_000
	sigma       = 1.1
	leastBytes  = 900 // room for a style sheet's or script's own text
)

// The kinds of resources, and how many there are: in the page, named by style
// sheets, and named by scripts.
const (
	sheets       = 4
	scripts      = 12
	images       = 24
	sheetFonts   = 4 // one for each sheet
	sheetImages  = 6
	scriptImages = 6 // of the first two scripts, as are these
	moreScripts  = 4
)

// New makes the page. It is the same each time.
func New() *Page {
	b := &builder{rng: rand.New(rand.NewChaCha8([32]byte([]byte("tributary lab page of a browser!")))), sizes: sizes()}
	b.rng.Shuffle(len(b.sizes), func(i, j int) { b.sizes[i], b.sizes[j] = b.sizes[j], b.sizes[i] })
	p := &Page{}
	// What is named has to be there before what names it.
	var fonts, backgrounds, late []Resource
	for range sheetFonts {
		fonts = append(fonts, b.resource(2, "woff2", "font/woff2", 4, 1))
	}
	for range sheetImages {
		backgrounds = append(backgrounds, b.resource(2, "png", "image/png", 1, 2))
	}
	for range moreScripts {
		late = append(late, b.resource(2, "js", "text/javascript", 7, 8, 9, 10))
	}
	for range scriptImages {
		late = append(late, b.resource(2, "png", "image/png", 7, 10, 11))
	}
	var css, js, img []Resource
	for i := range sheets {
		css = append(css, b.resource(1, "css", "text/css", 0, 1, 5))
		css[i].Body = b.sheet(len(css[i].Body), i, fonts[i], share(backgrounds, i, sheets))
	}
	for i := range scripts {
		js = append(js, b.resource(1, "js", "text/javascript", 0, 1, 5, 6, 8, 9, 10))
		if i < 2 {
			js[i].Body = b.script(len(js[i].Body), share(late, i, 2))
		}
	}
	for range images {
		img = append(img, b.resource(1, "png", "image/png", 2, 2, 3, 0, 5, 7, 11))
	}
	p.HTML = b.html(css, js, img)
	p.Resources = slices.Concat(css, js, img, fonts, backgrounds, late)
	return p
}

// share is the i-th of n parts that take turns.
func share(all []Resource, i, n int) (part []Resource) {
	for j := i; j < len(all); j += n {
		part = append(part, all[j])
	}
	return part
}

// sizes are those of the resources, smallest first.
func sizes() []int {
	all := make([]int, Count)
	for i := range all {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/Count-1)
		all[i] = max(leastBytes, int(medianBytes*math.Exp(sigma*z)))
	}
	return all
}

// A builder makes resources one after the other.
type builder struct {
	rng   *rand.Rand
	sizes []int
	made  int
}

// resource makes the next one, on one of the hosts in turn.
func (b *builder) resource(depth int, ext, mime string, hosts ...int) Resource {
	size, n := b.sizes[b.made], b.made
	b.made++
	r := Resource{Host: hostNames[hosts[n%len(hosts)]], Path: fmt.Sprintf("/%s/%02d.%s", ext, n, ext), Type: mime, Depth: depth}
	switch ext {
	case "png":
		r.Body = b.png(size)
	case "woff2":
		r.Body = b.noise(size)
	default:
		r.Body = b.script(size, nil)
	}
	return r
}

// html is the page: sheets and two scripts that hold it up, further scripts that
// do not, images among text.
func (b *builder) html(css, js, img []Resource) []byte {
	var w strings.Builder
	w.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>A page</title>\n<link rel=\"icon\" href=\"data:,\">\n")
	fmt.Fprintf(&w, "<script>%s</script>\n", reporter)
	for _, r := range css {
		// Without the attribute a browser does not tell what a sheet of another host loads.
		fmt.Fprintf(&w, "<link rel=\"stylesheet\" crossorigin=\"anonymous\" href=%q>\n", r.URL())
	}
	for i, r := range js {
		how := " defer"
		if i >= len(js)-2 {
			how = ""
		}
		fmt.Fprintf(&w, "<script src=%q%s></script>\n", r.URL(), how)
	}
	w.WriteString("</head><body>\n")
	for i := range sheetImages {
		fmt.Fprintf(&w, "<div class=\"b%d\"></div>\n", i)
	}
	for i, r := range img {
		fmt.Fprintf(&w, "<h2 class=\"f%d\">Part %d</h2>\n<img src=%q alt=\"\">\n<p>%s</p>\n", i%sheets, i+1, r.URL(), b.letters(900))
	}
	w.WriteString("</body></html>\n")
	return []byte(w.String())
}
