// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoStallWhereTimePasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stop := watchStalls()
		time.Sleep(time.Minute) // in the bubble, where everybody runs in time
		require.Empty(t, stop())
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	require.Equal(t, "none", describe(nil))
	begin := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	require.Equal(t, "03:04:05.006 for 1.5s, 03:04:06.006 for 600ms",
		describe([]stall{{begin, 1500 * time.Millisecond}, {begin.Add(time.Second), 600 * time.Millisecond}}))
}
