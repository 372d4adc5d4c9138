// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

func one(t *testing.T, name string) cell {
	t.Helper()
	cells := settings{match: regexp.MustCompile("^" + name + "$"), rare: 3 * time.Second}.matrix()
	require.Len(t, cells, 1)
	return cells[0]
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	all := allCells(3 * time.Second)
	require.Len(t, all, 4*3*8)
	names := map[string]bool{}
	for _, c := range all {
		names[c.name()] = true
		for _, f := range c.backend.faults() {
			require.NoError(t, f.Validate(), c.name())
		}
		if c.backend.dead {
			require.Positive(t, c.backend.fault.For, "%s has to come back", c.name())
		}
	}
	require.Len(t, names, len(all), "each has a name of its own")
	require.Empty(t, one(t, "end/rare/healthy").backend.faults())
	require.Empty(t, settings{match: regexp.MustCompile("often")}.matrix())
	require.Equal(t, 63*time.Second, one(t, "end/rare/healthy").limit())
}

func TestCellSettings(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]string{
		"OTELCOL_LAMBDA_FLUSH_STRATEGY": "adaptive",
		"OTELCOL_LAMBDA_FLUSH_INTERVAL": "300ms",
		"OTELCOL_LAMBDA_FLUSH_TIMEOUT":  "3s",
	}, one(t, "adaptive/1s/503").env())
	require.NotContains(t, one(t, "end/1s/503").env(), "OTELCOL_LAMBDA_FLUSH_INTERVAL")
	require.NotContains(t, one(t, "continuous/1s/503").env(), "OTELCOL_LAMBDA_FLUSH_INTERVAL")

	require.Greater(t, one(t, "end/10ms/slow-2.5s").expected(), one(t, "end/10ms/hanging").expected())
	require.Greater(t, one(t, "end/10ms/hanging").expected(), one(t, "end/10ms/healthy").expected())
	require.False(t, one(t, "end/1s/slow-2.5s").backend.inTime())
	require.True(t, one(t, "end/1s/hanging").backend.inTime())
}

// invoked are invocations of 10 ms that begin at some times after epoch and hold the environment for a while.
func invoked(held time.Duration, starts ...time.Duration) (all []lambdasim.Invocation) {
	for _, at := range starts {
		all = append(all, lambdasim.Invocation{
			Start: epoch.Add(at), Duration: 10*time.Millisecond + held, Held: held,
		})
	}
	return all
}

var epoch = time.Unix(1_800_000_000, 0)

func at(id string, after time.Duration) otlpsink.Item {
	return otlpsink.Item{ID: id, Arrived: epoch.Add(after)}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	d := newDelivery(one(t, "end/1s/hanging"), watched{
		invocations: invoked(30*ms, 0, time.Second, hangTime),
		broken:      epoch,
		accepted: []otlpsink.Item{
			at("a", 5*ms), at("b", 6*ms), at("c", 1005*ms), at("d", 1006*ms), at("e", hangTime+5*ms),
		},
		arrived: []otlpsink.Item{
			at("a", 30*ms), at("b", 8*ms), at("d", 1110*ms), at("d", 1050*ms), at("e", hangTime+15*ms), at("other", 9*ms),
		},
		requests:   4,
		violations: []lambdasim.Violation{{Kind: lambdasim.ViolationPastDeadline, Invocation: 2, Detail: "late"}},
	})
	require.Equal(t, []string{string(lambdasim.ViolationPastDeadline) + " in invocation 2: late"}, d.Violations)
	require.Equal(t, "hanging", d.Backend)
	require.Equal(t, []float64{30, 30, 30}, d.Holds)
	require.Equal(t, 2, d.InOutage)
	require.Equal(t, 4, d.Requests)
	require.Equal(t, 5, d.Items)
	require.Equal(t, 1, d.Lost)
	require.Equal(t, 1, d.Twice)
	require.Nil(t, d.Switched)
	// 20 ms after the end, before it, the first of two arrivals, 5 ms.
	require.InDelta(t, 12.5, d.Delay.P50, 1e-9)
	require.InDelta(t, 40, d.Delay.Max, 1e-9)

	require.Nil(t, newDelivery(one(t, "end/1s/hanging"), watched{invocations: invoked(0, 0)}).Delay)
}

func TestSwitched(t *testing.T) {
	t.Parallel()
	var frequent []time.Duration
	for i := range 14 {
		frequent = append(frequent, time.Duration(i)*40*time.Millisecond)
	}
	all := invoked(0, frequent...)
	require.Equal(t, 10, switched(one(t, "adaptive/10ms/healthy"), all), "the eleventh")
	require.Equal(t, 10, switched(one(t, "adaptive/10ms/healthy"), all[:10]), "never")
	require.Equal(t, 14, switched(one(t, "periodic/10ms/healthy"), all))

	for i := range 10 {
		all[i].Held = time.Second
	}
	d := newDelivery(one(t, "adaptive/10ms/healthy"), watched{invocations: all})
	require.InDelta(t, 1000, d.Hold.P50, 1e-9)
	require.NotNil(t, d.Switched)
	require.Zero(t, *d.Switched)
}

// rowOf is a row with holds of which some are in the outage.
func rowOf(t *testing.T, name string, outage int, holds ...float64) delivery {
	t.Helper()
	c := one(t, name)
	return delivery{
		cell: c, Strategy: string(c.strategy), Gap: c.gap.name, Backend: c.backend.name,
		Hold: tailOf(holds), Holds: holds, InOutage: outage, Items: 160,
	}
}

func TestDeadBackends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outage     int
		holds      []float64
		once, open string
	}{
		"no invocation":             {outage: 0, holds: []float64{9000, 9000}},
		"one invocation":            {outage: 1, holds: []float64{3070, 9000}},
		"once, then the buffer":     {outage: 4, holds: []float64{3030, 25, 26, 40, 9000}},
		"not counted after its end": {outage: 1, holds: []float64{25, 3000, 3000}},
		"held for too long": {
			outage: 1, holds: []float64{3080, 25}, once: "one is held 3055 ms longer than with the healthy one",
		},
		"held twice": {
			outage: 4, holds: []float64{3030, 25, 3000, 25},
			once: "a second one is held 2975 ms longer than with the healthy one",
		},
		"the others a little": {outage: 4, holds: []float64{3030, 30, 31, 29}, open: "5.0 ms longer"},
		"all of them": {
			outage: 3, holds: []float64{1600, 1600, 1625},
			once: "a second one is held 1575 ms longer than with the healthy one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := rowOf(t, "end/1s/503", c.outage, c.holds...).outageHolds(25)
			require.Equal(t, c.once, onceBroken(over))
			require.Equal(t, c.open, openBroken(over))
		})
	}
}

func TestPromises(t *testing.T) {
	t.Parallel()
	quick, slow := 0.2, 2.0
	rows := []delivery{
		rowOf(t, "adaptive/10ms/healthy", 0, 25, 0, 0),
		rowOf(t, "adaptive/10ms/refused", 3, 25, 0, 0),
		rowOf(t, "adaptive/10ms/slow-2.5s", 0, 2500),
		rowOf(t, "end/1s/503", 2, 1600, 25),
		rowOf(t, "end/rare/healthy", 0, 25, 25),
		rowOf(t, "end/rare/503", 2, 1600, 1600),
		rowOf(t, "end/rare/slow-2.5s", 0, 2500),
	}
	rows[0].Switched, rows[1].Switched = &quick, &slow
	rows[3].Violations = []string{"one", "two"}
	rows[4].Lost, rows[5].Twice, rows[6].Lost, rows[6].Twice = 1, 2, 3, 4
	compare(rows)
	got := promises(rows)
	for i, want := range []struct {
		cells  int
		broken []string
	}{
		{3, []string{"adaptive/10ms/refused: 2.0 ms", "adaptive/10ms/slow-2.5s: it has not switched"}},
		// Without the healthy one there is nothing to compare with.
		{2, []string{"end/rare/503: a second one is held 1575 ms longer than with the healthy one"}},
		{2, nil},
		{5, []string{"end/rare/healthy: 1 of 160 items"}},
		{5, []string{"end/rare/503: 2 of 160 items"}},
		{7, []string{"end/1s/503: one; two"}},
	} {
		require.Equal(t, want.cells, got[i].Cells, got[i].Text)
		require.Equal(t, want.broken, got[i].Broken, got[i].Text)
	}
	require.Len(t, got, 6)

	require.Nil(t, rows[3].OverHealthy)
	require.InDelta(t, 1575, *rows[5].OverHealthy, 1e-9)
	require.Zero(t, *rows[4].OverHealthy)
}

func TestDeliveryTable(t *testing.T) {
	t.Parallel()
	switched := 0.04
	rows := []delivery{
		rowOf(t, "adaptive/10ms/healthy", 0, 31.26, 25, 0, 0, 0),
		rowOf(t, "adaptive/10ms/503", 5, 3027.1, 25, 0, 0, 0),
		rowOf(t, "end/rare/hanging", 2, 3030, 25, 25),
	}
	rows[0].Switched, rows[0].Delay, rows[0].Requests = &switched, &tail{P50: 102.51, P99: 301.9, Max: 400}, 39
	rows[1].Switched, rows[1].Delay, rows[1].Requests, rows[1].Lost = &switched, &tail{P50: 2892, P99: 5201}, 22, 12
	compare(rows)
	var got bytes.Buffer
	require.NoError(t, printTable(&got, document{
		Machine:  machine{GoVersion: "go1.99", OS: "linux", Arch: "arm64", CPUCount: 2},
		Settings: recorded{MemoryMB: 512, Parallel: 2, RareGap: 3000},
		Delivery: rows, Promises: promises(rows),
	}))
	golden(t, "testdata/delivery.golden", got.String())
}

func TestInTurn(t *testing.T) {
	t.Parallel()
	busy, calm := inTurn([]cell{
		one(t, "end/1s/healthy"), one(t, "end/10ms/healthy"), one(t, "end/1s/slow-2.5s"), one(t, "end/10ms/hanging"),
	})
	require.Equal(t, []int{3, 1}, busy)
	require.Equal(t, []int{2, 0}, calm)
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	p := progress{w: &text, of: 2}
	p.finished(one(t, "end/1s/healthy"), 1234*time.Millisecond, nil)
	p.finished(one(t, "end/1s/503"), time.Second, context.Canceled)
	require.Equal(t, "delivery 1 of 2, end/1s/healthy (1.2s)\ndelivery 2 of 2, end/1s/503: failed (1s)\n", text.String())
}

func TestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most, done atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		do := func(i int) {
			now := running.Add(1)
			most.Store(max(most.Load(), now))
			time.Sleep(time.Second)
			running.Add(-1)
			done.Add(1)
			if i == 3 {
				cancel()
			}
		}
		atOnce(ctx, []int{0, 1, 2}, 2, do)
		require.EqualValues(t, 3, done.Load())
		require.EqualValues(t, 2, most.Load())
		atOnce(ctx, []int{3, 4, 5, 6}, 1, do)
		require.EqualValues(t, 4, done.Load(), "nothing begins after the end of the context")
	})
}

func TestPorts(t *testing.T) {
	t.Parallel()
	p := newPorts()
	first, err := p.free(t.Context())
	require.NoError(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:"+first)
	require.NoError(t, err)
	defer l.Close()
	taken := &ports{next: l.Addr().(*net.TCPAddr).Port}
	next, err := taken.free(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, next)

	_, err = (&ports{next: lastPort}).free(t.Context())
	require.Error(t, err)
}

// TestIntervals: what the notes under the table say of the settings.
func TestIntervals(t *testing.T) {
	t.Parallel()
	require.Equal(t, 10*time.Second, flush.DefaultInterval)
	require.Equal(t, time.Second, flush.DefaultContinuousInterval)
}
