// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

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
