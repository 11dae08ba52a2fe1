//go:build !linux

package fastopen

import (
	"context"

	"tributary/mptcp"
)

func check(context.Context) (Report, error) {
	return Report{Why: mptcp.Supported().Error()}, nil
}

func accepted() bool { return false }
