package lab

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
)

// stampEvery is how often the content of /bytes tells its own position, so that
// a block that is repeated, lost or moved changes the sum.
const stampEvery = 4096

// Content returns the body of the final server's /bytes?n=N: N bytes that look
// random and are always the same; a shorter body is the beginning of a longer
// one.
func Content(n int64) io.Reader {
	c := &content{left: n}
	rng := rand.NewChaCha8([32]byte([]byte("tributary lab content of /bytes!")))
	rng.Read(c.block[:])
	return c
}

// Sum returns the SHA-256 of Content(n) in hexadecimal.
func Sum(n int64) string {
	h := sha256.New()
	io.Copy(h, Content(n))
	return hex.EncodeToString(h.Sum(nil))
}

type content struct {
	block [stampEvery]byte
	at    int64
	left  int64
}

func (c *content) Read(p []byte) (n int, err error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	for n < len(p) {
		if c.at%stampEvery == 0 {
			binary.BigEndian.PutUint64(c.block[:], uint64(c.at))
		}
		k := copy(p[n:], c.block[c.at%stampEvery:])
		n += k
		c.at += int64(k)
	}
	c.left -= int64(n)
	return n, nil
}
