// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// rig is a receiver in a pipeline of each signal.
type rig struct {
	*fakeLifecycle
	receiver component.Component
	logs     consumertest.LogsSink
	traces   consumertest.TracesSink
	metrics  consumertest.MetricsSink
	at       time.Time
}

// rigSettings are what is different from a receiver by default in pipelines that take everything.
type rigSettings struct {
	change func(*Config)
	// function is an extension that has seen the function's spans.
	function lambdaextension.Lifecycle
	logs     consumer.Logs
	traces   consumer.Traces
	metrics  consumer.Metrics
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return newRigWith(t, rigSettings{change: change})
}

func newRigWith(tb testing.TB, set rigSettings) *rig {
	tb.Helper()
	r := &rig{fakeLifecycle: &fakeLifecycle{}, at: time.Now()}
	factory, cfg, settings := NewFactory(), defaultConfig(), receivertest.NewNopSettings(metadata.Type)
	if set.change != nil {
		set.change(cfg)
	}
	require.NoError(tb, cfg.Validate())
	logs, traces, metrics := consumer.Logs(&r.logs), consumer.Traces(&r.traces), consumer.Metrics(&r.metrics)
	if set.logs != nil {
		logs = set.logs
	}
	if set.traces != nil {
		traces = set.traces
	}
	if set.metrics != nil {
		metrics = set.metrics
	}
	_, err := factory.CreateTraces(tb.Context(), settings, cfg, traces)
	require.NoError(tb, err)
	_, err = factory.CreateMetrics(tb.Context(), settings, cfg, metrics)
	require.NoError(tb, err)
	r.receiver, err = factory.CreateLogs(tb.Context(), settings, cfg, logs)
	require.NoError(tb, err)
	host := hostWith(r.fakeLifecycle)
	if set.function != nil {
		host.GetExtensions()[component.MustNewID("lambda")] = instrumented{r.fakeLifecycle, set.function}
	}
	require.NoError(tb, r.receiver.Start(tb.Context(), host))
	return r
}

// event makes an event a millisecond after the one before.
func (r *rig) event(kind telemetryapi.EventType, record string, args ...any) telemetryapi.Event {
	r.at = r.at.Add(time.Millisecond)
	return telemetryapi.Event{Type: kind, Time: r.at, Record: json.RawMessage(fmt.Sprintf(record, args...))}
}

func (r *rig) start(id string) telemetryapi.Event {
	return r.event(telemetryapi.EventStart, `{"requestId":%q,"version":"7"}`, id)
}

func (r *rig) line(text string) telemetryapi.Event {
	return r.event(telemetryapi.EventFunction, "%q", text)
}

func (r *rig) done(id string) telemetryapi.Event {
	return r.event(telemetryapi.EventRuntimeDone, `{"requestId":%q,"status":"success","metrics":{"durationMs":2.5}}`, id)
}

func (r *rig) consume(t *testing.T, events ...telemetryapi.Event) {
	t.Helper()
	r.subscriber.Consume(t.Context(), events)
}

// spans are all spans so far.
func (r *rig) spans() (all []ptrace.Span) {
	for _, td := range r.traces.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					all = append(all, span)
				}
			}
		}
	}
	return all
}

func (r *rig) records() (all []plog.LogRecord) {
	for _, ld := range r.logs.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, record := range sl.LogRecords().All() {
					all = append(all, record)
				}
			}
		}
	}
	return all
}

// points are the names of all metrics so far, with how often they came.
func (r *rig) points() map[string]int {
	names := map[string]int{}
	for _, md := range r.metrics.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					names[m.Name()]++
				}
			}
		}
	}
	return names
}

// TestAllSignals has the three of an invocation agree on who they are about.
func TestAllSignals(t *testing.T) {
	r := newRig(t, nil)
	require.Equal(t, []telemetryapi.Stream{"platform", "function", "extension"}, r.subscriber.Streams)
	r.invoke()
	r.consume(t,
		r.event(telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init","instanceId":"2026/10/08/[7]ab"}`),
		r.event(telemetryapi.EventInitReport, `{"initializationType":"on-demand","phase":"init","metrics":{"durationMs":3.5}}`))
	r.consume(t, r.start("a"), r.line("hello"), r.done("a"))
	spans, records := r.spans(), r.records()
	require.Len(t, spans, 2)
	require.Len(t, records, 5)
	for _, span := range spans {
		require.Equal(t, spans[0].TraceID(), span.TraceID())
		require.False(t, span.TraceID().IsEmpty())
	}
	for _, record := range records[2:] {
		require.Equal(t, spans[0].TraceID(), record.TraceID(), record.Body().AsString())
		require.False(t, record.SpanID().IsEmpty())
	}
	require.True(t, r.joined[0].Drain(t.Context()))
	require.Equal(t, 1, r.points()["faas.coldstarts"])
	require.Equal(t, 1, r.points()["faas.invoke_duration"])
	for name, resource := range map[string]map[string]any{
		"logs":    r.logs.AllLogs()[0].ResourceLogs().At(0).Resource().Attributes().AsRaw(),
		"traces":  r.traces.AllTraces()[0].ResourceSpans().At(0).Resource().Attributes().AsRaw(),
		"metrics": r.metrics.AllMetrics()[0].ResourceMetrics().At(0).Resource().Attributes().AsRaw(),
	} {
		require.Equal(t, "2026/10/08/[7]ab", resource["faas.instance"], name)
		require.Equal(t, "checkout", resource["faas.name"], name)
	}
	require.NoError(t, r.receiver.Shutdown(t.Context()))
	require.Empty(t, r.hooks)
}

// TestHeldLines has lines of an invocation wait for as long as its trace may turn out to be the function's.
func TestHeldLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.consume(t, r.start("a"), r.line("one"))
		require.Empty(t, r.records(), "nothing is known of the function yet")
		r.consume(t, r.line("two"), r.done("a"))
		require.Len(t, r.records(), 4)

		r.consume(t, r.start("b"), r.line("three"))
		require.Len(t, r.records(), 6, "the function has no SDK")
		require.Equal(t, r.records()[4].TraceID(), r.records()[5].TraceID())
		require.NotEqual(t, r.records()[0].TraceID(), r.records()[4].TraceID())
		require.NoError(t, r.receiver.Shutdown(t.Context()))
	})
}

// TestHeldLinesAreBounded has lines go without a trace where waiting for it would cost too much, and come to no other harm.
func TestHeldLinesAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		release func(*testing.T, *rig)
		gone    int // records that are there then
	}{
		"a delivery, after some time": {func(t *testing.T, r *rig) {
			t.Helper()
			time.Sleep(maxHeldFor) // in the bubble
			require.True(t, r.joined[0].Drain(t.Context()))
			require.False(t, r.joined[0].Drain(t.Context()))
		}, 2},
		"a delivery at once": {func(t *testing.T, r *rig) {
			t.Helper()
			require.False(t, r.joined[0].Drain(t.Context()))
		}, 0},
		"size": {func(t *testing.T, r *rig) {
			t.Helper()
			r.consume(t, r.line(strings.Repeat("x", maxHeldBytes)))
		}, 3},
		"the end of the environment": {func(t *testing.T, r *rig) {
			t.Helper()
			r.ends = time.Now()
			require.True(t, r.joined[0].Drain(t.Context()))
		}, 2},
		"shutdown": {func(t *testing.T, r *rig) {
			t.Helper()
			require.NoError(t, r.receiver.Shutdown(t.Context()))
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				r.consume(t, r.start("a"), r.line("one"))
				require.Empty(t, r.records())
				tt.release(t, r)
				require.Len(t, r.records(), tt.gone)
				require.NoError(t, r.receiver.Shutdown(t.Context()))
				require.GreaterOrEqual(t, len(r.records()), 2)
				require.Len(t, r.spans(), 1)
				for _, record := range r.records() {
					if !record.TraceID().IsEmpty() {
						require.Equal(t, r.spans()[0].TraceID(), record.TraceID())
					}
				}
				require.Empty(t, r.Health().Counts())
			})
		})
	}
}

// TestContextOnly gives no ids to lines where nobody makes spans for them.
func TestContextOnly(t *testing.T) {
	sink := &consumertest.LogsSink{}
	r, lifecycle, _ := startReceiver(t, defaultConfig(), sink)
	lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
		line("text")[0],
		{Type: telemetryapi.EventRuntimeDone, Record: json.RawMessage(`{"requestId":"a","status":"success"}`)},
	})
	require.Equal(t, 3, sink.LogRecordCount())
	for _, record := range sink.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		require.True(t, record.TraceID().IsEmpty())
	}
	require.NoError(t, r.Shutdown(t.Context()))
}

func TestExportInterval(t *testing.T) {
	for name, tt := range map[string]struct {
		interval time.Duration
		want     []int // exports after each of the steps
	}{
		"a minute": {time.Minute, []int{0, 1, 1, 2, 3}},
		"always":   {0, []int{1, 1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.ExportInterval = &tt.interval })
				exports := func() int { return r.points()["faas.invocations"] }
				r.consume(t, r.start("a"), r.done("a"))
				require.Equal(t, tt.want[0], exports(), "with a delivery")
				r.joined[0].Drain(t.Context())
				require.Equal(t, tt.want[1], exports(), "with the first flush")
				r.consume(t, r.start("b"), r.done("b"))
				r.joined[0].Drain(t.Context())
				require.Equal(t, tt.want[2], exports(), "with the next one")
				time.Sleep(time.Minute) // in the bubble
				r.consume(t, r.start("c"), r.done("c"))
				r.joined[0].Drain(t.Context())
				require.Equal(t, tt.want[3], exports(), "after a minute")
				r.consume(t, r.start("d"), r.done("d"))
				r.ends = time.Now()
				r.joined[0].Drain(t.Context())
				require.Equal(t, tt.want[4], exports(), "at the end")
				require.NoError(t, r.receiver.Shutdown(t.Context()))
			})
		})
	}
}

// TestRefusedMetrics has no delta lost because there was no room for it.
func TestRefusedMetrics(t *testing.T) {
	for name, tt := range map[string]struct {
		temporality string
		err         error
		want        []int64 // of faas.invocations, what arrived
		dropped     bool
	}{
		"delta":                   {"delta", errors.New("no room"), []int64{1, 1}, false},
		"cumulative":              {"cumulative", errors.New("no room"), []int64{2}, false},
		"delta, refused for good": {"delta", consumererror.NewPermanent(errors.New("no")), []int64{1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			lifecycle, sink, fail := &fakeLifecycle{}, &consumertest.MetricsSink{}, true
			next := metricsFunc(func(md pmetric.Metrics) error {
				if fail {
					md.ResourceMetrics().RemoveIf(func(pmetric.ResourceMetrics) bool { return true })
					return tt.err
				}
				return sink.ConsumeMetrics(t.Context(), md)
			})
			cfg := defaultConfig()
			cfg.Metrics.Temporality = tt.temporality
			r, err := NewFactory().CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, next)
			require.NoError(t, err)
			require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
			for _, id := range []string{"a", "b"} {
				lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{
					{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"` + id + `"}`)},
					{Type: telemetryapi.EventRuntimeDone, Record: json.RawMessage(
						`{"requestId":"` + id + `","status":"success","metrics":{"durationMs":1}}`)},
				})
				lifecycle.ends = time.Now()
				lifecycle.joined[0].Drain(t.Context())
				fail = false
			}
			var got []int64
			for _, md := range sink.AllMetrics() {
				for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
					if m.Name() == "faas.invocations" {
						got = append(got, m.Sum().DataPoints().At(0).IntValue())
					}
				}
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.dropped, lifecycle.Health().Dropped(health.SignalMetrics, refused) > 0)
			require.NoError(t, r.Shutdown(t.Context()))
		})
	}
}

// TestRefusedSpans counts what nobody takes.
func TestRefusedSpans(t *testing.T) {
	lifecycle := &fakeLifecycle{}
	r, err := NewFactory().CreateTraces(t.Context(), receivertest.NewNopSettings(metadata.Type), defaultConfig(),
		consumertest.NewErr(consumererror.NewPermanent(errors.New("no"))))
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{
		{Type: telemetryapi.EventStart, Record: json.RawMessage(`{"requestId":"a"}`)},
		{Type: telemetryapi.EventRuntimeDone, Record: json.RawMessage(`{"requestId":"a","status":"success","metrics":{"durationMs":1}}`)},
	})
	require.NoError(t, r.Shutdown(t.Context()))
	require.Equal(t, int64(1), lifecycle.Health().Dropped(health.SignalTraces, refused))
}

// TestUsage measures what the environment used from one invocation to the next.
func TestUsage(t *testing.T) {
	r := newRig(t, nil)
	for _, id := range []string{"a", "b"} {
		r.invoke()
		r.consume(t, r.start(id), r.done(id))
	}
	r.ends = time.Now()
	require.True(t, r.joined[0].Drain(t.Context()))
	require.False(t, r.joined[0].Drain(t.Context()), "there is nothing new")
	found := false
	for _, m := range r.metrics.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		if m.Name() == "faas.cpu_usage" {
			found = true
			require.Equal(t, uint64(2), m.Histogram().DataPoints().At(0).Count(), "one for each invocation")
		}
		if m.Name() == "aws.lambda.threads" {
			require.Positive(t, m.Gauge().DataPoints().At(0).IntValue())
		}
	}
	require.True(t, found)
	require.NoError(t, r.receiver.Shutdown(t.Context()))
}

// TestInUse reads what is in use when it is exported, also if there is an invocation at that moment, as there always is in a
// busy environment.
func TestInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for i := range 3 {
			r.invoke()
			time.Sleep(time.Second) // in the bubble: the export falls into the invocation
			r.consume(t, r.start(strconv.Itoa(i)), r.done(strconv.Itoa(i)))
			require.True(t, r.joined[0].Drain(t.Context()))
			require.Equal(t, i, r.points()["aws.lambda.threads"], "of all exports but the first")
			require.Equal(t, i, r.points()["aws.lambda.tmp_usage"])
			time.Sleep(defaultConfig().exportInterval() - time.Second)
		}
		require.NoError(t, r.receiver.Shutdown(t.Context()))
	})
}

// TestFinish counts an Init that failed with the process that saw it.
func TestFinish(t *testing.T) {
	r := newRig(t, nil)
	r.consume(t,
		r.event(telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init"}`),
		r.event(telemetryapi.EventInitReport,
			`{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.ExitError","metrics":{"durationMs":3.5}}`))
	r.ends = time.Now()
	r.joined[0].Drain(t.Context())
	require.Equal(t, 1, r.points()["faas.errors"])
	require.Equal(t, 1, r.points()["faas.coldstarts"])
	require.NoError(t, r.receiver.Shutdown(t.Context()))
}

// TestTypesWithoutPlatform makes nothing of events that the configuration leaves out.
func TestTypesWithoutPlatform(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Types = []string{"function"} })
	r.consume(t, r.start("a"), r.line("one"), r.done("a"))
	r.ends = time.Now()
	r.joined[0].Drain(t.Context())
	require.Len(t, r.records(), 1)
	require.Empty(t, r.spans())
	require.Empty(t, r.points())
	require.NoError(t, r.receiver.Shutdown(t.Context()))
}

func TestZone(t *testing.T) {
	for name, tt := range map[string]struct {
		answer  http.HandlerFunc
		want    any
		warning string
	}{
		"told": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"AvailabilityZoneID":"use1-az1"}`) }, "use1-az1", ""},
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, nil,
			"availability zone"},
		"nonsense": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, nil, "availability zone"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan *http.Request, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tt.answer(w, r)
				asked <- r
			}))
			defer server.Close()
			t.Setenv(envMetadataAPI, strings.TrimPrefix(server.URL, "http://"))
			t.Setenv(envMetadataToken, "secret")
			set, observed := observedSettings()
			sink, lifecycle, cfg := &consumertest.LogsSink{}, &fakeLifecycle{}, defaultConfig()
			cfg.Resource.AvailabilityZone = true
			r, err := NewFactory().CreateLogs(t.Context(), set, cfg, sink)
			require.NoError(t, err)
			require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
			request := <-asked
			require.Equal(t, "/2026-01-15/metadata/execution-environment", request.URL.Path)
			require.Equal(t, "Bearer secret", request.Header.Get("Authorization"))
			require.Eventually(t, func() bool {
				lifecycle.subscriber.Consume(t.Context(), line("a"))
				all := sink.AllLogs()
				zone := all[len(all)-1].ResourceLogs().At(0).Resource().Attributes().AsRaw()[attrZoneID]
				return zone == tt.want && (tt.warning == "") == (observed.FilterMessageSnippet("availability zone").Len() == 0)
			}, 30*time.Second, time.Millisecond)
			lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{{Type: telemetryapi.EventRestoreStart, Time: time.Now()}})
			<-asked // it may be another one after a restore
			require.NoError(t, r.Shutdown(t.Context()))
			lifecycle.subscriber.Consume(t.Context(), []telemetryapi.Event{{Type: telemetryapi.EventRestoreStart, Time: time.Now()}})
			require.Empty(t, asked)
		})
	}
}

func TestZoneWithoutEndpoint(t *testing.T) {
	t.Setenv(envMetadataAPI, "")
	set, observed := observedSettings()
	cfg := defaultConfig()
	cfg.Resource.AvailabilityZone = true
	r, err := NewFactory().CreateLogs(t.Context(), set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(&fakeLifecycle{})))
	require.Equal(t, 1, observed.FilterMessageSnippet("resource::availability_zone").Len())
	require.NoError(t, r.Shutdown(t.Context()))
}

// metricsFunc is a consumer of metrics that changes what it is given.
type metricsFunc func(pmetric.Metrics) error

func (metricsFunc) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (f metricsFunc) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error { return f(md) }
