// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func TestParseTelemetryFaults(t *testing.T) {
	for text, want := range map[string]TelemetryFaults{
		"":                                {},
		" ":                               {},
		"redeliver":                       {Redeliver: 1},
		"redeliver=0.25, drop=0.5,seed=7": {Redeliver: 0.25, Drop: 0.5, Seed: 7},
		"delay,strings":                   {Delay: true, Strings: true},
		"late-invoke":                     {LateInvoke: true},
	} {
		got, err := ParseTelemetryFaults(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for text, want := range map[string]string{
		"redeliver=often":   "a share from 0 to 1",
		"redeliver=1.1":     "share 1.1 is not",
		"drop=-1":           "share -1 is not",
		"drop=NaN":          "share NaN is not",
		"delay=2":           "takes no value",
		"drop,drop":         "given twice",
		"seed":              "whole number",
		"delay,late-invoke": "exclude each other",
		"lose":              `unknown telemetry fault "lose"`,
		",":                 `unknown telemetry fault ""`,
	} {
		_, err := ParseTelemetryFaults(text)
		require.ErrorContains(t, err, want, text)
	}
	require.NotEmpty(t, TelemetryFaults{Redeliver: math.NaN()}.validate())
}

// startFaulty is startSubscriber with faults.
func startFaulty(t *testing.T, faults TelemetryFaults, l *fakeListener) (*hub, *subscriber) {
	t.Helper()
	l.start = time.Now()
	h := newHub(newGate(), true, func(Record) {})
	h.faults = faults
	sub := hundredMillis
	sub.schemaVersion = schemaManaged
	sub.types = []telemetryapi.Stream{telemetryapi.StreamPlatform, telemetryapi.StreamFunction}
	s := newSubscriber("ext", sub, h.gate, l.post)
	s.misbehave(faults, 1)
	require.True(t, h.subscribe(s))
	t.Cleanup(h.close)
	time.Sleep(time.Second) // the subscription's own event
	return h, s
}

// A delivery comes twice, with the same events, and counts once.
func TestRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{}
		h, s := startFaulty(t, TelemetryFaults{Redeliver: 1}, l)
		line(h, "a")
		time.Sleep(time.Second)
		got := l.deliveries()
		require.Len(t, got, 4)
		require.Equal(t, []string{"a"}, got[2].events)
		require.Equal(t, got[2].events, got[3].events)
		report := s.report(1)
		require.Equal(t, Counts{Generated: 1, Delivered: 1}, report.Events[telemetryapi.EventFunction])
		require.Equal(t, 2, report.Batches)
		require.Equal(t, 2, report.Redelivered)
		h.close()
	})
}

// A repetition that is refused is not repeated.
func TestRedeliveryRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{answer: func(_ context.Context, n int) (int, error) {
			if n%2 == 1 {
				return http.StatusInternalServerError, nil
			}
			return http.StatusOK, nil
		}}
		h, s := startFaulty(t, TelemetryFaults{Redeliver: 1}, l)
		s.badStatus = func(int) { t.Error("told of a repetition") }
		line(h, "a")
		time.Sleep(time.Minute)
		require.Len(t, l.deliveries(), 4)
		require.Equal(t, 0, s.report(1).Events[telemetryapi.EventFunction].Retried)
		h.close()
	})
}

// The same seed hits the same lines, and another one others. What is lost is told, and events of the platform are never.
func TestDroppedLines(t *testing.T) {
	run := func(t *testing.T, seed uint64) (delivered []string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			l := &fakeListener{}
			h, s := startFaulty(t, TelemetryFaults{Drop: 0.5, Seed: seed}, l)
			for n := range 20 {
				line(h, strconv.Itoa(n))
				time.Sleep(time.Second)
			}
			h.emit(telemetryapi.EventStart, startRecord{})
			time.Sleep(time.Second)
			report := s.report(1)
			counts := report.Events[telemetryapi.EventFunction]
			require.Equal(t, 20, counts.Generated)
			require.Positive(t, counts.Dropped)
			require.Positive(t, counts.Delivered)
			require.Equal(t, Counts{Generated: 1, Delivered: 1}, report.Events[telemetryapi.EventStart])
			told := 0
			for _, d := range l.deliveries() {
				for _, event := range d.events {
					if record, ok := strings.CutPrefix(event, "platform.logsDropped "); ok {
						var lost logsDroppedRecord
						require.NoError(t, json.Unmarshal([]byte(record), &lost))
						told += lost.DroppedRecords
					}
				}
			}
			require.Equal(t, counts.Dropped, told)
			delivered = report.Function
			h.close()
		})
		return delivered
	}
	first := run(t, 1)
	require.Equal(t, first, run(t, 1))
	require.NotEqual(t, first, run(t, 2))
}

// What happens in an invocation is delivered when the next one begins, or at the end.
func TestDelayedDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{}
		h, s := startFaulty(t, TelemetryFaults{Delay: true}, l)
		line(h, "init")
		time.Sleep(time.Second)
		require.Len(t, l.deliveries(), 2)
		h.turnOver()
		line(h, "first")
		time.Sleep(time.Hour)
		require.Len(t, l.deliveries(), 2)
		require.False(t, s.settled(telemetryapi.EventFunction))
		h.turnOver()
		line(h, "second")
		time.Sleep(time.Second)
		require.Equal(t, []string{"first"}, l.deliveries()[2].events)
		h.letGo()
		time.Sleep(time.Second)
		require.Equal(t, []string{"second"}, l.deliveries()[3].events)
		require.True(t, h.settled(telemetryapi.EventFunction))
		h.close()
	})
}

// What is held back is bounded as well.
func TestDelayedDeliveryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s := startFaulty(t, TelemetryFaults{Delay: true}, &fakeListener{})
		h.turnOver()
		for range 100 {
			line(h, "x")
		}
		require.Len(t, s.held, queueFactor*s.sub.maxItems)
		require.Equal(t, 100-len(s.held), s.report(1).Events[telemetryapi.EventFunction].Dropped)
		h.close()
	})
}

// Lines are strings although they are JSON and the schema version knows of it.
func TestStringRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body string
		h := newHub(newGate(), true, func(Record) {})
		h.faults = TelemetryFaults{Strings: true}
		sub := hundredMillis
		sub.schemaVersion, sub.types = schemaManaged, []telemetryapi.Stream{telemetryapi.StreamFunction}
		require.True(t, h.subscribe(newSubscriber("ext", sub, h.gate, func(_ context.Context, b []byte) (int, error) {
			body = string(b)
			return http.StatusOK, nil
		})))
		line(h, `{"a":1}`)
		time.Sleep(time.Second)
		h.close()
		require.Contains(t, body, `"record":"{\"a\":1}"`)
	})
}

// The extension learns of the end of an invocation before it learns of the invocation.
func TestLateInvoke(t *testing.T) {
	t.Parallel()
	timeline := &recorder{}
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "telling", "correct"), OnEvent: timeline.observe,
		TelemetryFaults: TelemetryFaults{LateInvoke: true},
	})
	for range 2 {
		require.Equal(t, StatusSuccess, invoke(t, e, work{}).Status)
	}
	require.NoError(t, e.Shutdown(testContext(t)))
	var order []string
	for _, text := range timeline.lines(t, "extension") {
		if text == "telemetry platform.runtimeDone" || text == "event INVOKE" {
			order = append(order, text)
		}
	}
	require.Equal(t, []string{
		"telemetry platform.runtimeDone", "event INVOKE", "telemetry platform.runtimeDone", "event INVOKE",
	}, order)
	require.Empty(t, e.Report().Violations)
}

// Nobody is told anything, and nothing waits for it: neither the extension without a subscription, nor the simulator.
func TestLateInvokeWithoutTelemetry(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), Telemetry: TelemetryNotSupported, Timeout: 2 * time.Second,
		TelemetryFaults: TelemetryFaults{LateInvoke: true},
	})
	require.NoError(t, e.Init(testContext(t)))
	require.Equal(t, StatusSuccess, invoke(t, e, work{}).PlatformStatus)
}

// Real extensions with all that can go wrong at once.
func TestTelemetryFaults(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	e := newEnvironment(t, Options{
		LayerDir: newLayer(t, "correct"), Timeout: 2 * time.Second, Env: map[string]string{backendVariable: b.url},
		TelemetryFaults: TelemetryFaults{Redeliver: 1, Delay: true},
	})
	require.NoError(t, e.Init(testContext(t)))
	require.Equal(t, StatusSuccess, invoke(t, e, work{Log: []string{"one"}}).Status)
	require.Equal(t, StatusSuccess, invoke(t, e, work{Log: []string{"two"}}).Status)
	require.NoError(t, e.Shutdown(testContext(t)))
	// This extension does not notice repetitions.
	require.Equal(t, []string{"one", "two"}, b.account("one", "two").Duplicated)
	report := e.Report()
	require.Equal(t, report.Telemetry[0].Batches, report.Telemetry[0].Redelivered)
	require.Equal(t, Counts{Generated: 2, Delivered: 2}, report.Telemetry[0].Events[telemetryapi.EventFunction])
	require.Empty(t, report.Violations)
}
