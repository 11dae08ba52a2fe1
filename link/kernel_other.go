//go:build !linux

package link

// openKernel says that there is nothing to manage here.
func openKernel(string) (k kernel, idle string, err error) {
	return nil, "link management needs Linux", nil
}
