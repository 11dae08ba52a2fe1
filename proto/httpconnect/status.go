package httpconnect

import (
	"net/http"
	"strings"

	"tributary/proxy"
)

// proxyName is how we call ourselves in Proxy-Status.
const proxyName = "tributary"

// outcomes is the one table from reasons to a status and an error type of RFC 9209
// section 2.3. The status is what that section recommends for the type, but
// where it recommends 500: we did not break, somebody behind us did not answer.
//
// AuthenticationFailed is the failure of our own log-in at the next hop. It must
// not become 407, at which a browser would ask its user for a password; 407 for
// the client's own is the [Server]'s.
var outcomes = [...]struct {
	status int
	typ    string
}{
	proxy.Failed:               {http.StatusBadGateway, "proxy_internal_error"},
	proxy.NotAllowed:           {http.StatusForbidden, "http_request_denied"},
	proxy.NetworkUnreachable:   {http.StatusBadGateway, "destination_ip_unroutable"},
	proxy.HostUnreachable:      {http.StatusServiceUnavailable, "destination_unavailable"},
	proxy.NameNotFound:         {http.StatusBadGateway, "dns_error"},
	proxy.Refused:              {http.StatusBadGateway, "connection_refused"},
	proxy.TimedOut:             {http.StatusGatewayTimeout, "connection_timeout"},
	proxy.CommandUnsupported:   {http.StatusMethodNotAllowed, "http_request_error"},
	proxy.AddressUnsupported:   {http.StatusBadGateway, "destination_ip_unroutable"},
	proxy.AuthenticationFailed: {http.StatusBadGateway, "proxy_configuration_error"},
	proxy.Overloaded:           {http.StatusServiceUnavailable, "connection_limit_reached"},
	proxy.RelayUnreachable:     {http.StatusServiceUnavailable, "destination_unavailable"},
	proxy.Duplicate:            {http.StatusBadGateway, "proxy_internal_error"},
}

// Status returns the HTTP status and the RFC 9209 error type for a reason. A
// reason that the table does not know is a general failure.
func Status(r proxy.Reason) (status int, errorType string) {
	if int(r) >= len(outcomes) {
		r = proxy.Failed
	}
	return outcomes[r].status, outcomes[r].typ
}

// Reason returns what a proxy's refusal means: by the error type of its
// Proxy-Status header if that says something, else by its status.
func Reason(status int, proxyStatus string) proxy.Reason {
	if status == http.StatusProxyAuthRequired {
		return proxy.AuthenticationFailed
	}
	if typ := lastErrorType(proxyStatus); typ != "" {
		for r, o := range outcomes {
			if o.typ == typ {
				return proxy.Reason(r)
			}
		}
		switch typ { // that we never send
		case "dns_timeout", "connection_read_timeout", "connection_write_timeout":
			return proxy.TimedOut
		case "destination_not_found":
			return proxy.NameNotFound
		case "destination_ip_prohibited":
			return proxy.NotAllowed
		case "connection_terminated":
			return proxy.Refused
		}
	}
	switch status {
	case http.StatusForbidden, http.StatusUnauthorized:
		return proxy.NotAllowed
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return proxy.CommandUnsupported
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return proxy.TimedOut
	case http.StatusTooManyRequests:
		return proxy.Overloaded
	case http.StatusServiceUnavailable:
		return proxy.HostUnreachable
	}
	return proxy.Failed
}

// lastErrorType returns the error parameter of the last proxy in a Proxy-Status
// list, the one nearest to us that had something to say. It is a search, no parser
// of structured fields: what it misses costs precision only.
func lastErrorType(header string) string {
	i := strings.LastIndex(header, "error=")
	if i < 0 {
		return ""
	}
	typ := header[i+len("error="):]
	if end := strings.IndexAny(typ, ";, \t"); end >= 0 {
		typ = typ[:end]
	}
	return typ
}
