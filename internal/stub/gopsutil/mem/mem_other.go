// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package mem

import "errors"

// VirtualMemory returns errors.ErrUnsupported: Lambda is Linux.
func VirtualMemory() (*VirtualMemoryStat, error) {
	return &VirtualMemoryStat{}, errors.ErrUnsupported
}
