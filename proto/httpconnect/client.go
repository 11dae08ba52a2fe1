package httpconnect

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tributary/proxy"
)

// AppendConnect appends a request for a stream to an address, with user and
// password unless the user is empty. Early data may be appended behind it; a
// proxy that refuses reads it as garbage.
func AppendConnect(b []byte, to proxy.Addr, user, password string) []byte {
	b = append(b, "CONNECT "+to.String()+" HTTP/1.1\r\nHost: "+to.String()+"\r\n"...)
	if user != "" {
		b = append(b, "Proxy-Authorization: Basic "...)
		b = base64.StdEncoding.AppendEncode(b, []byte(user+":"+password))
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// ReadReply reads a proxy's answer up to the end of its header, no byte more: what
// follows a success is the stream. A refusal, or an answer that is not HTTP, is a
// [*proxy.Error]; its body stays unread. An error of the stream is not a
// [*proxy.Error].
//
// The end of a header shows only when it is there, so that this takes a read for
// every four bytes; on TLS those are cheap.
func ReadReply(r io.Reader) error {
	for range 5 { // interim answers, 1xx
		header, err := readHeader(r)
		if err != nil {
			return fmt.Errorf("http answer: %w", err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(header)), &http.Request{Method: http.MethodConnect})
		if err != nil {
			return failed("http answer: %w", err)
		}
		switch {
		case resp.StatusCode/100 == 1:
			continue
		case resp.StatusCode/100 == 2:
			return nil
		}
		reason := Reason(resp.StatusCode, strings.Join(resp.Header.Values("Proxy-Status"), ", "))
		return &proxy.Error{Reason: reason, Err: fmt.Errorf("http: proxy answers %d: %v", resp.StatusCode, reason)}
	}
	return failed("http answer: nothing but interim answers")
}

// readHeader reads up to an empty line. It never asks for more bytes than must
// still come.
func readHeader(r io.Reader) ([]byte, error) {
	const end = "\r\n\r\n"
	shortest := len("HTTP/1.1 200" + end)
	b := make([]byte, shortest, 256)
	for read := 0; ; {
		n, err := io.ReadFull(r, b[read:])
		read += n
		switch {
		case read > 5 && !bytes.HasPrefix(b, []byte("HTTP/")):
			return nil, failed("is not HTTP")
		case err != nil && read > 0 && errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case bytes.HasSuffix(b, []byte(end)):
			return b, nil
		case bytes.Count(b, []byte("\n")) != bytes.Count(b, []byte("\r\n")):
			return nil, failed("lines do not end in CR LF")
		case len(b) > maxHeader:
			return nil, failed("header of more than %d bytes", maxHeader)
		}
		have := len(end) - 1 // how much of end is there
		for !bytes.HasSuffix(b, []byte(end[:have])) {
			have--
		}
		b = append(b, make([]byte, len(end)-have)...)
	}
}

// failed returns the error of a peer that does not speak the protocol.
func failed(format string, args ...any) error {
	return &proxy.Error{Reason: proxy.Failed, Err: fmt.Errorf(format, args...)}
}
