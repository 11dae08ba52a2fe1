package page

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// noise is n bytes that no compression makes smaller.
func (b *builder) noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(b.rng.Uint32())
	}
	return p
}

const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// letters is a text of n letters with a space now and then.
func (b *builder) letters(n int) string {
	p := b.noise(n)
	for i, c := range p {
		p[i] = alphabet[c%64]
		if i%8 == 7 {
			p[i] = ' '
		}
	}
	return string(p)
}

// sheet is a style sheet of n bytes with a font and some background images.
func (b *builder) sheet(n, i int, font Resource, backgrounds []Resource) []byte {
	var w strings.Builder
	fmt.Fprintf(&w, "@font-face{font-family:F%d;src:url(%s);font-display:swap}.f%d{font-family:F%d,serif}\n", i, font.URL(), i, i)
	w.WriteString("img,div{width:60px;height:40px}\n")
	for j, r := range backgrounds {
		fmt.Fprintf(&w, ".b%d{background:url(%s)}\n", i+j*sheets, r.URL())
	}
	return b.pad(w.String(), n)
}

// script is a script of n bytes that asks for further scripts and images.
func (b *builder) script(n int, more []Resource) []byte {
	var w strings.Builder
	for _, r := range more {
		tag := "script"
		if r.Type == "image/png" {
			tag = "img"
		}
		fmt.Fprintf(&w, "{const e=document.createElement(%q);e.src=%q;document.documentElement.append(e)}\n", tag, r.URL())
	}
	return b.pad(w.String(), n)
}

// pad fills a text up with a comment, or leaves it as it is.
func (b *builder) pad(text string, n int) []byte {
	const open, end = "/*", "*/\n"
	if left := n - len(text) - len(open) - len(end); left > 0 {
		text += open + b.letters(left) + end
	}
	return []byte(text)
}

// png is an image of about n bytes: grey noise (PNG, third edition).
func (b *builder) png(n int) []byte {
	const side = 100
	rows := max(1, n/(side+1))
	w := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		body := append([]byte(kind), data...)
		w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		w.Write(body)
		w.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
	}
	head := binary.BigEndian.AppendUint32(nil, side)
	head = binary.BigEndian.AppendUint32(head, uint32(rows))
	chunk("IHDR", append(head, 8, 0, 0, 0, 0)) // 8 bits, grey, the only methods there are
	var data bytes.Buffer
	z, _ := zlib.NewWriterLevel(&data, zlib.NoCompression)
	for range rows {
		z.Write(append([]byte{0}, b.noise(side)...)) // no filter
	}
	z.Close()
	chunk("IDAT", data.Bytes())
	chunk("IEND", nil)
	return w.Bytes()
}
