package socks

import (
	"io"

	"tributary/proxy"
)

// AppendLogin appends all that a client has to say before its request, in one
// piece: the greeting and, where there is a user, the password. The server's
// answer is for [ReadLogin] with the same user.
//
// To send the password before the server has chosen the method saves a round
// trip. It is no false start: the greeting offers no other method.
func AppendLogin(b []byte, user, password string) ([]byte, error) {
	if user == "" {
		return AppendGreeting(b, NoAuth), nil
	}
	return AppendAuth(AppendGreeting(b, UserPass), user, password)
}

// ReadLogin reads the server's answers to [AppendLogin]. A refusal is a
// [*proxy.Error] with AuthenticationFailed; an error of the stream is not a
// [*proxy.Error].
func ReadLogin(r io.Reader, user string) error {
	want := byte(NoAuth)
	if user != "" {
		want = UserPass
	}
	got, err := ReadSelection(r)
	switch {
	case err != nil:
		return err
	case got != want:
		return failed("socks5: server chooses method %d, which was not offered", got)
	case want == UserPass:
		return ReadAuthReply(r)
	}
	return nil
}

// AppendConnect appends the request for a stream to an address, with the first
// bytes of that stream. The server's answer is for [ReadReply].
func AppendConnect(b []byte, to proxy.Addr, early []byte) []byte {
	return append(AppendRequest(b, Message{Command: Connect, To: to}), early...)
}

// AppendOpening appends a whole session's opening for one write: login, request
// and early data. The server's answers are for [ReadLogin], then [ReadReply].
func AppendOpening(b []byte, user, password string, to proxy.Addr, early []byte) ([]byte, error) {
	b, err := AppendLogin(b, user, password)
	if err != nil {
		return b, err
	}
	return AppendConnect(b, to, early), nil
}
