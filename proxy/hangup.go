package proxy

import (
	"io"
	"time"
)

// LingerTime and LingerBytes bound how long a refused client is listened to. RFC
// 1928 section 6 wants the connection closed within 10 s of a failure.
const (
	LingerTime  = 2 * time.Second
	LingerBytes = 256 << 10
)

// HangUp writes a last message and closes c, within [LingerTime]. It reads what
// the client still sends: to close on unread bytes makes TCP send a reset, which
// may overtake the message.
func HangUp(c Conn, last []byte) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(LingerTime))
	if _, err := c.Write(last); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return nil // the message is on its way
	}
	io.CopyN(io.Discard, c, LingerBytes)
	return nil
}
