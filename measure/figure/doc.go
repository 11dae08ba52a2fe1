// Package figure draws measurements as SVG: lines, bars and ladders.
//
// The pictures are files for documents. They hold their own style for light and
// dark backgrounds, keep text as text in the reader's own sans-serif font, fetch
// nothing, and have the same bytes for the same input.
package figure

// Widths and heights in pixels of the user's coordinate system; the file scales.
const (
	width     = 760
	margin    = 20 // between the frame and anything
	textSize  = 13
	lineSpace = 18
	// glyph is the mean width of a letter at textSize, a little more than those of
	// common fonts have, so that what fits here fits there.
	glyph = 7.0
)

// colours is how many there are for series; a further one begins again.
const colours = 7

// style has colours that can be told apart with the common colour blindnesses
// (after Okabe and Ito), each in a dark tone for light backgrounds and the reverse.
const style = `<style>
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif;font-size:13px;fill:#24292f}
.title{font-size:17px;font-weight:600}
.small{font-size:11.5px}
.bold{font-weight:600}
.soft{fill:#57606a}
.frame{fill:#ffffff;stroke:#d0d7de}
.halo{stroke:#ffffff;stroke-width:3.5px;stroke-linejoin:round;paint-order:stroke}
.grid{stroke:#d8dee4;stroke-width:1;fill:none}
.axis{stroke:#57606a;stroke-width:1.4;fill:none}
.mark{stroke:#57606a;stroke-width:1;stroke-dasharray:4 3;fill:none}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.whisker{fill:none;stroke-width:1.2}
.arrow{fill:none;stroke-width:1.5}
.c0{stroke:#0072b2}.f0{fill:#0072b2}
.c1{stroke:#c24e00}.f1{fill:#c24e00}
.c2{stroke:#00795a}.f2{fill:#00795a}
.c3{stroke:#a6447f}.f3{fill:#a6447f}
.c4{stroke:#8a6d00}.f4{fill:#8a6d00}
.c5{stroke:#59636e}.f5{fill:#59636e}
.c6{stroke:#5a48c8}.f6{fill:#5a48c8}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.soft{fill:#9198a1}
.frame{fill:#0d1117;stroke:#3d444d}
.halo{stroke:#0d1117}
.grid{stroke:#2a313c}
.axis,.mark{stroke:#9198a1}
.c0{stroke:#58b0ee}.f0{fill:#58b0ee}
.c1{stroke:#ff9a55}.f1{fill:#ff9a55}
.c2{stroke:#3ecfa3}.f2{fill:#3ecfa3}
.c3{stroke:#e58fc4}.f3{fill:#e58fc4}
.c4{stroke:#e3c34b}.f4{fill:#e3c34b}
.c5{stroke:#9aa4af}.f5{fill:#9aa4af}
.c6{stroke:#aba0ff}.f6{fill:#aba0ff}
}
</style>
`
