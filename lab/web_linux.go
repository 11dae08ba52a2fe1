package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxRateMbit bounds /slow?rate=, which is for trickles.
const maxRateMbit = 1000

// handler is the final server's web site:
//
//	/hello            "hello\n"
//	/bytes?n=N        Content(N)
//	/sum?n=N          Sum(N) as text
//	/upload           POST: an [UploadReport] as JSON
//	/slow?rate=MBIT   Content without end at a constant rate, for ever
//	/seen             the connections seen, as JSON
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })
	mux.HandleFunc("/bytes", sendBytes)
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		if n, ok := number(w, r, "n"); ok {
			fmt.Fprintln(w, Sum(int64(n)))
		}
	})
	mux.HandleFunc("POST /upload", receive)
	mux.HandleFunc("/slow", sendSlowly)
	mux.HandleFunc("/seen", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Seen()) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// close waits for handlers too; net/http would not.
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		s.loops.Add(1)
		s.mu.Unlock()
		defer s.loops.Done()
		mux.ServeHTTP(w, r)
	})
}

// number reads a query value that must be a number ≥ 0.
func number(w http.ResponseWriter, r *http.Request, key string) (float64, bool) {
	v, err := strconv.ParseFloat(r.URL.Query().Get(key), 64)
	if err != nil || !(v >= 0 && v <= 1<<53) {
		http.Error(w, "want "+key+"=NUMBER", http.StatusBadRequest)
		return 0, false
	}
	return v, true
}

// sendBytes tells the length but no sum: a trailer would need chunks, and
// net/http's reader of chunks hands out only what fills its caller's buffer,
// which spoils the times of a measuring client.
func sendBytes(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n")
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(int64(n), 10))
	io.CopyBuffer(w, Content(int64(n)), make([]byte, 64<<10))
}

// An UploadReport is what /upload answers. Times are the server's, from the
// first byte to the last: a sender sees only its own buffers.
type UploadReport struct {
	Bytes      int64         `json:"bytes"`
	SHA256     string        `json:"sha256"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	LongestGap time.Duration `json:"longest_gap_ns"`
	Buckets    []int64       `json:"buckets"` // bytes per [BucketLength]
}

func receive(w http.ResponseWriter, r *http.Request) {
	meter := newMeter(time.Time{})
	if err := meter.drain(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m := meter.result
	writeJSON(w, UploadReport{m.Bytes, m.SHA256, m.Elapsed, m.LongestGap, m.Buckets})
}

func sendSlowly(w http.ResponseWriter, r *http.Request) {
	mbit, ok := number(w, r, "rate")
	if !ok || mbit == 0 || mbit > maxRateMbit {
		http.Error(w, fmt.Sprintf("want rate=MBIT, at most %d", maxRateMbit), http.StatusBadRequest)
		return
	}
	const tick = 10 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	w.Header().Set("Content-Length", strconv.FormatInt(1<<62, 10)) // for the same reason
	out := http.NewResponseController(w)
	body := Content(1 << 62)
	start, sent := time.Now(), int64(0)
	for {
		due := int64(time.Since(start).Seconds() * mbit * 1e6 / 8)
		if _, err := io.CopyN(w, body, due-sent); err != nil {
			return
		}
		sent = max(sent, due)
		if out.Flush() != nil {
			return
		}
		select {
		case <-ticks.C:
		case <-r.Context().Done():
			return
		}
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
