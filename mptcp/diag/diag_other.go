//go:build !linux

package diag

import "errors"

func subflows(uint16) (map[Pair]Flags, error) { return nil, errors.ErrUnsupported }

func end(Pair) error { return errors.ErrUnsupported }
