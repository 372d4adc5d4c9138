// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const (
	platform     = telemetryapi.StreamPlatform
	function     = telemetryapi.StreamFunction
	extensionLog = telemetryapi.StreamExtension
)

type streams = []telemetryapi.Stream

func TestWants(t *testing.T) {
	for name, test := range map[string]struct {
		wishes  []TelemetrySubscriber
		streams streams
		port    int
		ignored []int64
	}{
		"nobody":   {streams: streams{platform}},
		"nothing":  {wishes: []TelemetrySubscriber{{}}, streams: streams{platform}},
		"function": {wishes: []TelemetrySubscriber{{Streams: streams{function}}}, streams: streams{platform, function}},
		"in a fixed order": {
			wishes:  []TelemetrySubscriber{{Streams: streams{extensionLog, function, platform}}},
			streams: streams{platform, function, extensionLog},
		},
		"merged": {
			wishes: []TelemetrySubscriber{
				{Streams: streams{extensionLog}},
				{Streams: streams{platform, extensionLog}, Port: 4325},
				{Streams: streams{extensionLog}},
			},
			streams: streams{platform, extensionLog}, port: 4325,
		},
		"the same port": {
			wishes:  []TelemetrySubscriber{{Port: 4325}, {Port: 4325}},
			streams: streams{platform}, port: 4325,
		},
		"different ports": {
			wishes:  []TelemetrySubscriber{{Port: 4325}, {}, {Port: 4326}, {Port: 4327}},
			streams: streams{platform}, port: 4325, ignored: []int64{4326, 4327},
		},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.WarnLevel)
			var s subscription
			for _, wish := range test.wishes {
				_, err := s.add(wish)
				require.NoError(t, err)
			}
			streams, port := s.wants(zap.New(core))
			require.Equal(t, test.streams, streams)
			require.Equal(t, test.port, port)
			var ignored []int64
			for _, entry := range logs.All() {
				require.EqualValues(t, test.port, entry.ContextMap()["port"])
				ignored = append(ignored, entry.ContextMap()["ignored_port"].(int64))
			}
			require.Equal(t, test.ignored, ignored)

			_, err := s.add(TelemetrySubscriber{})
			require.ErrorIs(t, err, errSubscriptionClosed)
		})
	}
}

func TestWishThatIsTakenBack(t *testing.T) {
	var s subscription
	_, err := s.add(TelemetrySubscriber{Streams: streams{function}})
	require.NoError(t, err)
	cancel, err := s.add(TelemetrySubscriber{Streams: streams{platform, extensionLog}, Port: 4325})
	require.NoError(t, err)
	require.True(t, s.wantsPlatform())
	cancel()
	cancel()
	require.False(t, s.wantsPlatform())
	wanted, port := s.wants(zap.NewNop())
	require.Equal(t, streams{platform, function}, wanted)
	require.Zero(t, port)
}

func platformEvent(typ telemetryapi.EventType, requestID string) telemetryapi.Event {
	return telemetryapi.Event{Type: typ, Record: json.RawMessage(`{"requestId":"` + requestID + `","status":"success"}`)}
}

func TestDeliver(t *testing.T) {
	events := []telemetryapi.Event{
		platformEvent(telemetryapi.EventStart, "1"),
		{Type: telemetryapi.EventFunction, Record: json.RawMessage(`"hello"`)},
		{Type: "platform.newInTenYears"},
		{Type: telemetryapi.EventExtensionLog, Record: json.RawMessage(`"ours"`)},
	}
	for name, test := range map[string]struct {
		streams streams
		want    []telemetryapi.Event
	}{
		"all":       {streams{platform, function, extensionLog}, events},
		"platform":  {streams{platform}, []telemetryapi.Event{events[0], events[2]}},
		"logs":      {streams{extensionLog, function}, []telemetryapi.Event{events[1], events[3]}},
		"extension": {streams{extensionLog}, []telemetryapi.Event{events[3]}},
		"nothing":   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var s subscription
			calls := 0
			var got []telemetryapi.Event
			cancel, err := s.add(TelemetrySubscriber{
				Streams: test.streams,
				Consume: func(_ context.Context, events []telemetryapi.Event) {
					calls++
					got = events
				},
			})
			require.NoError(t, err)
			var others []telemetryapi.Event
			_, err = s.add(TelemetrySubscriber{
				Streams: streams{platform, function, extensionLog},
				Consume: func(_ context.Context, events []telemetryapi.Event) { others = events },
			})
			require.NoError(t, err)

			s.deliver(t.Context(), events)
			require.Equal(t, test.want, got)
			require.Equal(t, events, others, "one subscriber's choice is not another's")

			before := calls
			s.deliver(t.Context(), nil)
			require.Equal(t, before, calls, "nobody is called without events")
			cancel()
			s.deliver(t.Context(), events)
			require.Equal(t, before, calls, "nor after cancelling")
		})
	}
}

// The end of the function's log comes in the same request as runtimeDone, and must get into the flush that it starts.
func TestInvocationEndsAfterItsEventsAreConsumed(t *testing.T) {
	e := newExtension(zap.NewNop(), &Config{}, settings{})
	e.heap = noHeap()
	consumed := 0
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{function},
		Consume: func(_ context.Context, events []telemetryapi.Event) {
			consumed += len(events)
			require.Empty(t, e.invocations.finished)
			require.Empty(t, e.invocations.reported)
		},
	})
	require.NoError(t, err)
	e.handle(t.Context(), []telemetryapi.Event{
		platformEvent(telemetryapi.EventReport, "0"),
		platformEvent(telemetryapi.EventRuntimeDone, "1"),
		platformEvent(telemetryapi.EventStart, "2"),
		{Type: telemetryapi.EventRuntimeDone, Record: json.RawMessage(`"broken"`)},
		{Type: telemetryapi.EventRuntimeDone},
		{Type: telemetryapi.EventFunction, Record: json.RawMessage(`"the last line"`)},
	})
	require.Equal(t, 1, consumed)
	require.Equal(t, []string{"1", "", ""}, e.invocations.finished)
	require.Equal(t, []string{"0"}, e.invocations.reported)
}

// The listener recovers from what a component does. The invocation must end all the same, or the environment would be
// held until just before the deadline.
func TestInvocationEndsThoughAComponentPanics(t *testing.T) {
	e := newExtension(zap.NewNop(), &Config{}, settings{})
	e.heap = noHeap()
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{platform},
		Consume: func(context.Context, []telemetryapi.Event) { panic("a component") },
	})
	require.NoError(t, err)
	require.PanicsWithValue(t, "a component", func() {
		e.handle(t.Context(), []telemetryapi.Event{
			platformEvent(telemetryapi.EventRuntimeDone, "1"), platformEvent(telemetryapi.EventReport, "0"),
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, e.invocations.awaitFinish(ctx, "1"))
	require.NoError(t, e.invocations.awaitReport(ctx, "0"))
}

// The metric has what is lost between Lambda and the receivers, by reason, and the log has it at the end: what is lost
// last is in no metric.
func TestLost(t *testing.T) {
	f := newFakeLambda(t)
	e := newRunning(t, WithSession(session(t, f)))
	holds := make(chan struct{})
	_, err := e.SubscribeTelemetry(TelemetrySubscriber{
		Streams: streams{platform, function},
		Consume: func(ctx context.Context, events []telemetryapi.Event) {
			switch string(events[0].Record) {
			case `"panic"`:
				panic("a component")
			case `"hold"`:
				close(holds)
				<-ctx.Done()
			}
		},
	})
	require.NoError(t, err)
	e.start(t)
	s := receive(t, f.subscriptions)
	f.awaitNext(t)
	for _, body := range []string{
		`[{"type":"function","record":"` + strings.Repeat("x", 5<<20) + `"}]`,
		`[{"type":"function","record":"good"}`,
		`[{"type":"function","record":"good"},1,2]`,
		`[{"type":"function","record":"panic"},{"type":"function"},{"type":"function"}]`,
		`[{"type":"platform.logsDropped","record":{"droppedRecords":123,"droppedBytes":12345,"reason":"too many"}}]`,
		`[{"type":"platform.logsDropped","record":{"droppedRecords":7,"droppedBytes":70,"reason":"still"}}]`,
	} {
		f.deliver(t, s, body)
	}
	e.awaitIdle(t)
	want := map[string]int64{
		"the delivery was too large":    1,
		"the delivery was not readable": 1,
		"not an event":                  2,
		"a component panicked":          3,
		"dropped by Lambda":             130,
	}
	require.Equal(t, want, dropped(e.health))
	require.Empty(t, e.logs.FilterMessage("Data was dropped").All())

	f.deliver(t, s, `[{"type":"function","record":"hold"}]`)
	receive(t, holds)
	f.deliver(t, s, `[{"type":"function"},{"type":"function"}]`)
	f.deliver(t, s, `[{"type":"function"}]`)
	require.NoError(t, e.Shutdown(t.Context()))
	want["not passed on before shutdown"] = 2
	require.Equal(t, want, dropped(e.health))
	require.ElementsMatch(t, lossReasons(), slices.Collect(maps.Keys(want)), "each reason is reached")

	require.NoError(t, e.Shutdown(t.Context()))
	said := map[string]int64{}
	for _, entry := range e.logs.FilterMessage("Data was dropped").All() {
		require.Equal(t, zapcore.WarnLevel, entry.Level)
		fields := entry.ContextMap()
		require.Equal(t, "log records", fields["items"])
		require.Equal(t, "logs", fields["otelcol.signal"])
		require.NotContains(t, said, fields["reason"], "once")
		said[fields["reason"].(string)] = fields["count"].(int64)
	}
	require.Equal(t, want, said)
}

// awaitIdle waits until everything that was delivered has been handled.
func (r *running) awaitIdle(t *testing.T) {
	t.Helper()
	r.subscription.mu.Lock()
	listener := r.subscription.listener
	r.subscription.mu.Unlock()
	require.NoError(t, listener.Idle(t.Context()))
}

// dropped is what has been counted as dropped of Lambda's events, by reason.
func dropped(r *health.Registry) map[string]int64 {
	items := map[string]int64{}
	for _, c := range r.Counts() {
		if c.Metric == health.DroppedItems && c.Attributes[0] == (health.Attribute{Key: health.AttrSignal, Value: "logs"}) {
			items[c.Attributes[1].Value] = c.Total
		}
	}
	return items
}

// Events that only the extension wants are nobody's data.
func TestNothingIsLostThatNobodyWants(t *testing.T) {
	e := newExtension(zap.NewNop(), &Config{}, settings{})
	e.heap = noHeap()
	logsDropped := []telemetryapi.Event{{Type: telemetryapi.EventLogsDropped}}
	e.lose("a reason", 1)
	e.handle(t.Context(), logsDropped)
	require.Empty(t, e.health.Counts())

	_, err := e.SubscribeTelemetry(TelemetrySubscriber{})
	require.NoError(t, err)
	e.lose("a reason", 1)
	e.handle(t.Context(), logsDropped)
	require.Equal(t, map[string]int64{"a reason": 1, droppedByLambda: 1}, dropped(e.health))
}

// Users find every reason in the docs.
func TestLossReasonsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/health.md")
	require.NoError(t, err)
	for _, reason := range lossReasons() {
		require.Contains(t, string(docs), "| `"+reason+"` |")
	}
}

func TestDroppedRecords(t *testing.T) {
	for record, want := range map[string]int{
		`{"droppedRecords":123,"droppedBytes":12345,"reason":"r"}`: 123,
		`{"droppedRecords":2.9}`:                                   2,
		`{"droppedRecords":0}`:                                     1,
		`{"droppedRecords":-5}`:                                    1,
		`{"droppedRecords":"many","droppedBytes":1}`:               1,
		`{"droppedRecords":1e300}`:                                 math.MaxInt32,
		`"text"`:                                                   1,
		``:                                                         1,
	} {
		event := telemetryapi.Event{Type: telemetryapi.EventLogsDropped, Record: json.RawMessage(record)}
		require.Equal(t, want, droppedRecords(event), record)
	}
}

func TestExplainRefusal(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		level zapcore.Level
		text  string
	}{
		"emulator": {fmt.Errorf("subscribe: %w", telemetryapi.ErrNotSupported), zapcore.WarnLevel, "emulators"},
		"refused":  {&telemetryapi.SubscribeError{Status: 403}, zapcore.ErrorLevel, "The function is not affected"},
		"port":     {errors.New("listen tcp4 0.0.0.0:4325: bind: address already in use"), zapcore.ErrorLevel, "`port`"},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			explainRefusal(zap.New(core), test.err)
			require.Len(t, logs.All(), 1)
			require.Equal(t, test.level, logs.All()[0].Level)
			require.Contains(t, logs.All()[0].Message, test.text)
		})
	}
}
