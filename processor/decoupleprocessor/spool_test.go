// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

func openSpool(t *testing.T, maxBytes int64) *spool.Spool {
	t.Helper()
	disk, skipped, err := spool.Open(spool.Options{Dir: filepath.Join(t.TempDir(), "spool"), MaxBytes: maxBytes})
	require.NoError(t, err)
	require.Empty(t, skipped)
	t.Cleanup(func() { require.NoError(t, disk.Close()) })
	return disk
}

// leave has a processor end with data that it could not deliver.
func leave(t *testing.T, disk *spool.Spool, names ...string) *subject {
	t.Helper()
	s := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
	s.lifecycle.spool, s.lifecycle.lasting = disk, true
	s.send(t, names...)
	s.lifecycle.end(time.Second)
	s.stop(t)
	return s
}

func (s *subject) dropped() map[string]int64 {
	dropped := map[string]int64{}
	for _, c := range s.lifecycle.Health().Counts() {
		if c.Metric == health.DroppedItems {
			dropped[c.Attributes[1].Value] += c.Total
		}
	}
	return dropped
}

func TestSpoolBridgesAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		before := leave(t, disk, "a", "b")
		require.Empty(t, before.dropped())
		require.NotEmpty(t, before.logs.FilterMessageSnippet("kept on disk").All())
		require.Positive(t, disk.Bytes())

		var order []string
		after := start(t, func(_ context.Context, _ int, td ptrace.Traces) error {
			order = append(order, spanNames(td)...)
			return nil
		})
		after.lifecycle.spool = disk
		after.send(t, "c")
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"a", "b", "c"}, order)
		require.Zero(t, disk.Bytes(), "what is acknowledged is deleted")
		after.stop(t)
	})
}

// As long as the backend is down, data stays on disk, once, over any number of resets.
func TestSpoolKeepsWhatFailsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a")
		size := disk.Bytes()
		for range 3 {
			again := leave(t, disk)
			require.Empty(t, again.dropped())
			require.Equal(t, size, disk.Bytes())
		}
		after := start(t, nil)
		after.lifecycle.spool = disk
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, after.backend.arrived())
		after.stop(t)
	})
}

func TestSpooledDataThatIsRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a")
		after := start(t, func(context.Context, int, ptrace.Traces) error {
			return consumererror.NewPermanent(errUnavailable)
		})
		after.lifecycle.spool = disk
		_, err := after.flush(t, time.Second)
		require.NoError(t, err)
		require.Zero(t, disk.Bytes())
		require.Equal(t, map[string]int64{refused: 1}, after.dropped())
		after.stop(t)
	})
}

// The disk ends with the environment: what is on it and in memory is lost, and counted.
func TestSpoolOfAnEnvironmentThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, mib)
		leave(t, disk, "a", "b")
		last := start(t, func(context.Context, int, ptrace.Traces) error { return errUnavailable })
		last.lifecycle.spool = disk
		last.send(t, "c")
		last.lifecycle.end(time.Second)
		last.stop(t)
		require.Equal(t, map[string]int64{notDelivered: 3}, last.dropped())
	})
}

func TestSpoolThatIsTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := openSpool(t, 20)
		s := leave(t, disk, "a")
		require.Equal(t, map[string]int64{notDelivered: 1}, s.dropped())
		require.NotEmpty(t, s.logs.FilterMessageSnippet("cannot be kept").All())
	})
}

func TestSpoolDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probe := openSpool(t, mib)
		leave(t, probe, "a")
		disk := openSpool(t, probe.Bytes()*3/2)
		leave(t, disk, "a")
		s := leave(t, disk, "b") // "a" is taken, fails, and goes back; there is no room for both
		require.Equal(t, int64(1), s.dropped()[noRoom]+s.dropped()[notDelivered])
	})
}
