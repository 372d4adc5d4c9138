// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package mem

import (
	"fmt"
	"syscall"
)

// VirtualMemory asks the kernel, by sysinfo(2).
func VirtualMemory() (*VirtualMemoryStat, error) {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		// The collector reads the result before the error.
		return &VirtualMemoryStat{}, fmt.Errorf("sysinfo: %w", err)
	}
	return &VirtualMemoryStat{Total: uint64(info.Totalram) * uint64(info.Unit)}, nil //nolint:unconvert // 32-bit systems
}
