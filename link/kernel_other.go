//go:build !linux

package link

import "log/slog"

// openKernel says that there is nothing to manage here.
func openKernel(string, *slog.Logger) (k kernel, idle string, err error) {
	return nil, "link management needs Linux", nil
}
