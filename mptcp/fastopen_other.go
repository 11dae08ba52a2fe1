//go:build !linux

package mptcp

import "context"

func checkFastOpen(context.Context) (FastOpenReport, error) {
	return FastOpenReport{Why: supported().Error()}, nil
}
