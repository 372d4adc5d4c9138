// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package decoupleprocessor

import "time"

// wakeAfter does nothing: without the guard, which is for Linux, Go's timers are exact.
func wakeAfter(time.Duration) (woken <-chan struct{}, stop func()) { return nil, func() {} }
