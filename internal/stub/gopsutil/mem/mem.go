// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package mem knows how much memory the machine has.
package mem

// VirtualMemoryStat are sizes in bytes.
type VirtualMemoryStat struct {
	Total uint64
}
