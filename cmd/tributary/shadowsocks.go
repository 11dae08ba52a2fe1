package main

import (
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strconv"

	"tributary/proto/join"
	"tributary/proto/shadowsocks"
)

// shadowsocksURL returns what other clients need to use an account, in the form of
// SIP002 that phones read from a QR code. The user information of SIP022's methods
// is percent-encoded, never base64 as that of older ones.
func shadowsocksURL(l join.Link) (string, error) {
	if l.Shadowsocks == 0 {
		return "", errors.New("the relay has no Shadowsocks port, or was never started")
	}
	identity := shadowsocks.IdentityKey(l.Pin)
	password := base64.StdEncoding.EncodeToString(identity[:]) + ":" + base64.StdEncoding.EncodeToString(l.Secret[:])
	host := net.JoinHostPort(l.Host, strconv.Itoa(int(l.Shadowsocks)))
	return "ss://2022-blake3-aes-128-gcm:" + url.QueryEscape(password) + "@" + host + "#" + url.PathEscape(l.Account), nil
}
