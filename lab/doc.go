// Package lab builds small internets out of network namespaces, so that the
// real binary can be driven over links whose rate, delay and faults are known.
//
// A [Network] has four hosts. Their namespaces are anonymous: they live as long
// as our file descriptors, so even a crash leaves nothing on the machine. The
// access links and the leg to the final server are pairs of TUN devices joined
// by an emulator in user space, because netem is missing from many kernels; no
// ip, tc or nft program is needed.
//
// On a Network, a [System] runs the real relay and gateway. [RunDemo] shows the main
// job, [Scenarios] are good and bad days that end in a [Report], and [RunShell] is
// for looking around by hand.
//
// The lab needs Linux, root and /dev/net/tun. On other systems [New] fails with
// [ErrUnsupported], and users of the rest of the package belong into files that
// build on Linux only.
package lab

import "errors"

// ErrUnsupported says that this system has no network namespaces. [New] returns
// it, wrapped, everywhere but on Linux.
var ErrUnsupported = errors.New("the lab needs Linux network namespaces")
