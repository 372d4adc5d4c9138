// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package quiet lets connections of package net be used without Go's monitor.
//
// Package net tells Go's runtime of each read and write as of something that may block. In a process that has been idle the
// runtime wakes the thread then that takes processors away from those that do: two or three switches of threads, a few
// milliseconds awake, and back to sleep. A collector in Lambda is idle before almost everything it does. Reads and
// writes here are told not to block, so that is not needed.
//
// The monitor has a second task, which is: that goroutines take turns that compute for longer than 10 ms. Large reads and
// writes wake it, therefore, and Busy does.
package quiet
