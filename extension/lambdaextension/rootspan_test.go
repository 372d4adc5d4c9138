// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func invocationSpan(kind ptrace.SpanKind, requestID string) ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetKind(kind)
	if requestID != "" {
		span.Attributes().PutStr("faas.invocation_id", requestID)
	}
	return td
}

// of is a participant with a signal.
type of struct {
	fakeParticipant
	signal string
}

func (o *of) Signal() string { return o.signal }

func TestRootSpanEndsTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := scheduled(t)
		e.rootSpans.Store(true)
		returned := make(chan struct{})
		go func() {
			e.invoke(t.Context(), invokeEvent("1", time.Minute))
			close(returned)
		}()
		for _, other := range []ptrace.Traces{
			invocationSpan(ptrace.SpanKindInternal, "1"), invocationSpan(ptrace.SpanKindServer, "another"),
			invocationSpan(ptrace.SpanKindServer, ""), ptrace.NewTraces(),
		} {
			e.ObserveTraces(other)()
		}
		taken := e.ObserveTraces(invocationSpan(ptrace.SpanKindServer, "1"))
		synctest.Wait()
		select {
		case <-returned:
			require.Fail(t, "it is over before its span is taken")
		default:
		}
		taken()
		<-returned
		e.wg.Wait()

		// A function whose spans are not sampled has none.
		go func() { e.handle(t.Context(), []telemetryapi.Event{platformEvent(telemetryapi.EventRuntimeDone, "2")}) }()
		e.invoke(t.Context(), invokeEvent("2", time.Minute))
		e.wg.Wait()
	})
}

func TestRootSpanIsIgnoredUnlessAwaited(t *testing.T) {
	e := scheduled(t)
	e.ObserveTraces(invocationSpan(ptrace.SpanKindServer, "1"))()
	require.Empty(t, e.invocations.rooted)
}

func TestWaitFor(t *testing.T) {
	traces, logs := &of{signal: "traces"}, &of{signal: "logs"}
	batch := &fakeParticipant{}
	for name, test := range map[string]struct {
		waitFor      string
		participants []Participant
		telemetry    bool
		want         bool
	}{
		"auto, traces alone":           {waitForAuto, []Participant{traces, batch}, false, true},
		"auto, logs as well":           {waitForAuto, []Participant{traces, logs, batch}, false, false},
		"auto, Lambda's own telemetry": {waitForAuto, []Participant{traces}, true, false},
		"root span":                    {waitForRootSpan, []Participant{traces, logs}, true, true},
		"runtime done":                 {waitForRuntimeDone, []Participant{traces}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := scheduled(t)
			e.flush.WaitFor = test.waitFor
			for _, p := range test.participants {
				e.Join(p)
			}
			if test.telemetry {
				_, err := e.SubscribeTelemetry(TelemetrySubscriber{})
				require.NoError(t, err)
			}
			require.Equal(t, test.want, e.awaitsRootSpan())
		})
	}
}
