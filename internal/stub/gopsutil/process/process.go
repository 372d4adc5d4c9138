// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package process stands for what gopsutil knows of a process. The collector asks for it at each start and reads it only
// where its own metrics are collected, which is not the case here.
package process

import (
	"context"
	"errors"
)

// Process is a process of which nothing is known.
type Process struct{}

// NewProcessWithContext always succeeds: the collector would not start otherwise.
func NewProcessWithContext(context.Context, int32) (*Process, error) { return &Process{}, nil }

// TimesStat are times in seconds.
type TimesStat struct {
	User, System, Idle, Nice, Iowait, Irq, Softirq, Steal float64
}

// TimesWithContext returns errors.ErrUnsupported.
func (*Process) TimesWithContext(context.Context) (*TimesStat, error) {
	return nil, errors.ErrUnsupported
}

// MemoryInfoStat are sizes in bytes.
type MemoryInfoStat struct {
	RSS uint64
}

// MemoryInfoWithContext returns errors.ErrUnsupported.
func (*Process) MemoryInfoWithContext(context.Context) (*MemoryInfoStat, error) {
	return nil, errors.ErrUnsupported
}
