package main

import (
	"encoding/json"
	"fmt"
	"os"

	"tributary/bundle"
)

// traceVariable names a file that gets what the gateway decides by which part each
// link plays: a JSON line each time. Such a file is a test case of package bundle.
const traceVariable = "TRIBUTARY_TRACE"

// openTrace returns what writes the trace, nil if none is wanted.
func openTrace() (func(bundle.Bundle), error) {
	name := os.Getenv(traceVariable)
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the file that %s names: %w", traceVariable, err)
	}
	to := json.NewEncoder(f)
	return func(b bundle.Bundle) { to.Encode(b) }, nil
}
