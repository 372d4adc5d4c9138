// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// tracesFunc is a consumer of traces.
type tracesFunc func(context.Context, ptrace.Traces) error

func (tracesFunc) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (f tracesFunc) ConsumeTraces(ctx context.Context, td ptrace.Traces) error { return f(ctx, td) }

// logsFunc is a consumer of logs.
type logsFunc func(context.Context, plog.Logs) error

func (logsFunc) Capabilities() consumer.Capabilities { return consumer.Capabilities{MutatesData: true} }

func (f logsFunc) ConsumeLogs(ctx context.Context, ld plog.Logs) error { return f(ctx, ld) }

// gate is in front of each of a rig's sinks.
type gate struct {
	// logs, traces and metrics are the answers that the pipelines give instead of taking anything.
	logs, traces, metrics error
	// tries counts what all of them have been given.
	tries int
}

// newGatedRig returns a rig whose pipelines take nothing while the gate is shut. Whatever they are given, they spoil.
func newGatedRig(t *testing.T, g *gate, set rigSettings) (r *rig) {
	t.Helper()
	answer := func(refuse error, take func() error) error {
		g.tries++
		if refuse != nil {
			return refuse
		}
		return take()
	}
	set.logs = logsFunc(func(ctx context.Context, ld plog.Logs) error {
		own := plog.NewLogs()
		ld.ResourceLogs().MoveAndAppendTo(own.ResourceLogs())
		return answer(g.logs, func() error { return r.logs.ConsumeLogs(ctx, own) })
	})
	set.traces = tracesFunc(func(ctx context.Context, td ptrace.Traces) error {
		own := ptrace.NewTraces()
		td.ResourceSpans().MoveAndAppendTo(own.ResourceSpans())
		return answer(g.traces, func() error { return r.traces.ConsumeTraces(ctx, own) })
	})
	set.metrics = metricsFunc(func(md pmetric.Metrics) error {
		own := pmetric.NewMetrics()
		md.ResourceMetrics().MoveAndAppendTo(own.ResourceMetrics())
		return answer(g.metrics, func() error { return r.metrics.ConsumeMetrics(t.Context(), own) })
	})
	r = newRigWith(t, set)
	return r
}

// flush drains as the lifecycle does: for as long as something moves, but not for ever. between is what happens after
// each Drain.
func (r *rig) flush(t *testing.T, between func()) (rounds int) {
	t.Helper()
	for moved := true; moved && rounds < 4; rounds++ {
		moved = r.joined[0].Drain(t.Context())
		between()
	}
	return rounds
}

// TestRefusedAtTheEnd has what the pipeline has no room for at the end of the environment come in the next round, when
// the delivery in between has made some.
func TestRefusedAtTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		shut        gate
		temporality string
		signal      string
		lost        int // if there is never any room
	}{
		"logs":                {gate{logs: errFull}, "cumulative", health.SignalLogs, 2},
		"spans":               {gate{traces: errFull}, "cumulative", health.SignalTraces, 2},
		"cumulative metrics":  {gate{metrics: errFull}, "cumulative", health.SignalMetrics, 2},
		"delta metrics":       {gate{metrics: errFull}, "delta", health.SignalMetrics, 2},
		"all, and cumulative": {gate{errFull, errFull, errFull, 0}, "cumulative", health.SignalLogs, 2},
		"all, and delta":      {gate{errFull, errFull, errFull, 0}, "delta", health.SignalLogs, 2},
	} {
		for _, opens := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/room later %t", name, opens), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &gate{}
					r := newGatedRig(t, g, rigSettings{change: func(c *Config) { c.Metrics.Temporality = tt.temporality }})
					r.consume(t,
						r.event(telemetryapi.EventInitStart, `{"initializationType":"on-demand","phase":"init"}`),
						r.event(telemetryapi.EventInitReport,
							`{"initializationType":"on-demand","phase":"init","metrics":{"durationMs":3.5}}`),
						r.start("a"), r.line("text"))
					require.Len(t, r.records(), 2, "the rest is held")
					began := time.Now()
					r.ends = began
					*g = tt.shut
					rounds := r.flush(t, func() {
						if opens {
							*g = gate{}
						}
					})
					require.Equal(t, began, time.Now(), "a flush does not wait for room")
					if opens {
						require.Equal(t, 3, rounds, "one to no avail, one that moves it, and one to see that that was all")
						require.Empty(t, r.Health().Counts())
						requireOnce(t, r)
						require.NoError(t, r.receiver.Shutdown(t.Context()))
						requireOnce(t, r)
						return
					}
					require.Equal(t, 4, rounds)
					require.Zero(t, r.Health().Dropped(tt.signal, refused), "there may be room at the very end")
					require.NoError(t, r.receiver.Shutdown(t.Context()))
					require.EqualValues(t, tt.lost, r.Health().Dropped(tt.signal, refused))
				})
			})
		}
	}
}

// requireOnce has all there is to say of an environment that ended in its first invocation be there, and nothing twice.
func requireOnce(t *testing.T, r *rig) {
	t.Helper()
	var texts []string
	for _, ld := range r.logs.AllLogs() {
		texts = append(texts, bodies(ld)...)
	}
	require.Len(t, texts, 4)
	require.Equal(t, "text", texts[3])
	require.Len(t, r.spans(), 2)
	require.Equal(t, []string{"a"}, r.servers())
	require.Equal(t, map[string]int{"faas.coldstarts": 1, "faas.init_duration": 1}, r.points())
	require.EqualValues(t, 1, r.sum("faas.coldstarts"))
}

// TestRefusedThenQuiet has metrics come though nothing happens any more that would be worth an export.
func TestRefusedThenQuiet(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		for name, earlier := range map[string]bool{"the first export": false, "a later one": true} {
			t.Run(temporality+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &gate{}
					r := newGatedRig(t, g, rigSettings{change: func(c *Config) { c.Metrics.Temporality = temporality }})
					drain := r.joined[0].Drain
					want := 1
					if earlier {
						r.consume(t, r.start("0"), r.done("0"))
						require.True(t, drain(t.Context()))
						time.Sleep(time.Minute) // in the bubble
						want++
					}
					g.metrics = errFull
					r.consume(t, r.start("1"), r.done("1"))
					require.False(t, drain(t.Context()))
					require.Equal(t, want-1, r.points()["faas.invocations"])
					g.metrics = nil
					require.True(t, drain(t.Context()), "with the next flush")
					require.Equal(t, want, r.points()["faas.invocations"])
					for range 5 {
						time.Sleep(2 * time.Minute)
						require.False(t, drain(t.Context()), "there is nothing new")
					}
					r.ends = time.Now()
					require.False(t, drain(t.Context()))
					require.NoError(t, r.receiver.Shutdown(t.Context()))
					require.Equal(t, want, r.points()["faas.invocations"])
					require.Empty(t, r.Health().Counts())
				})
			})
		}
	}
}

// TestOneFullPipeline has a pipeline that has no room cost its wait once, though another one has room all the time.
func TestOneFullPipeline(t *testing.T) {
	const deliveries = 5
	for name, tt := range map[string]struct {
		shut           gate
		signal         string
		records, spans int // that arrive
		lost           int
	}{
		"logs":  {gate{logs: errFull}, health.SignalLogs, 0, deliveries, 3 * deliveries},
		"spans": {gate{traces: errFull}, health.SignalTraces, 3 * deliveries, 0, deliveries},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := tt.shut
				r := newGatedRig(t, &g, rigSettings{})
				for i := range deliveries {
					id := strconv.Itoa(i)
					began, tries := time.Now(), g.tries
					r.consume(t, r.start(id), r.line("text"), r.done(id))
					if i == 0 {
						require.Equal(t, retryFor, time.Since(began))
						require.Greater(t, g.tries-tries, 2)
						continue
					}
					require.Equal(t, began, time.Now(), "delivery %d", i)
					require.Equal(t, 3, g.tries-tries, "once for each signal, and once more")
				}
				require.Len(t, r.records(), tt.records)
				require.Len(t, r.spans(), tt.spans)
				require.EqualValues(t, tt.lost, r.Health().Dropped(tt.signal, refused))
				require.Len(t, r.Health().Counts(), 1)
				require.NoError(t, r.receiver.Shutdown(t.Context()))
			})
		})
	}
}

// TestSeveralPipelines gives each of them everything once, also if they do not take it.
func TestSeveralPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		r := newGatedRig(t, g, rigSettings{change: func(c *Config) { c.Metrics.Temporality = "delta" }})
		// Two have refused it, another one may have it.
		several := errors.Join(errFull, errors.New("no such host"))
		*g = gate{logs: several, traces: several, metrics: several}
		began := time.Now()
		r.consume(t, r.start("a"), r.line("text"), r.done("a"))
		require.Equal(t, 2, g.tries)
		r.joined[0].Drain(t.Context())
		require.Equal(t, 4, g.tries, "and the layer's own metrics")
		*g = gate{}
		r.ends = time.Now()
		r.joined[0].Drain(t.Context())
		require.Equal(t, began, time.Now())
		require.NoError(t, r.receiver.Shutdown(t.Context()))
		require.Empty(t, r.records())
		require.Empty(t, r.spans())
		require.Zero(t, r.points()["faas.invocations"])
		for signal, want := range map[string]int64{health.SignalLogs: 3, health.SignalTraces: 1, health.SignalMetrics: 2} {
			require.Equal(t, want, r.Health().Dropped(signal, refused), signal)
		}
	})
}

// TestDrainWithoutRoom keeps the lines whose time has come when a delivery begins that will make room for them.
func TestDrainWithoutRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		next func(*testing.T, *rig)
		want []string
	}{
		"the next drain": {func(t *testing.T, r *rig) {
			t.Helper()
			require.True(t, r.joined[0].Drain(t.Context()))
		}, []string{"one"}},
		"the next lines": {func(t *testing.T, r *rig) {
			t.Helper()
			r.consume(t, r.line("two"))
		}, []string{"one", "two"}},
		"the end of the invocation": {func(t *testing.T, r *rig) {
			t.Helper()
			r.consume(t, r.line("two"), r.done("a"))
		}, []string{"one", "two", "END RequestId: a\tVersion: 7\tStatus: success\tDuration: 2.5 ms"}},
		"shutdown": {func(t *testing.T, r *rig) {
			t.Helper()
			require.NoError(t, r.receiver.Shutdown(t.Context()))
		}, []string{"one"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{}
				r := newGatedRig(t, g, rigSettings{})
				r.consume(t, r.start("a"), r.line("one"))
				require.Zero(t, g.tries)
				time.Sleep(maxHeldFor) // in the bubble
				g.logs = errFull
				began := time.Now()
				for i := range 3 {
					require.False(t, r.joined[0].Drain(t.Context()))
					require.Equal(t, i+1, g.tries, "once, and no more")
				}
				require.Equal(t, began, time.Now())
				g.logs = nil
				tt.next(t, r)
				require.NoError(t, r.receiver.Shutdown(t.Context()))
				var texts []string
				for _, record := range r.records() {
					require.Equal(t, "a", invocationOf(record), "mapped from the state of the first time")
					texts = append(texts, record.Body().AsString())
				}
				require.Equal(t, append([]string{"START RequestId: a\tVersion: 7"}, tt.want...), texts)
				require.Empty(t, r.Health().Counts())
			})
		})
	}
}

// TestDrainWithoutRoomForTheEnd has lines belong to their invocation though its end was among what has to be passed on
// again.
func TestDrainWithoutRoomForTheEnd(t *testing.T) {
	function := newFunction(t)
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		r := newGatedRig(t, g, rigSettings{function: function})
		r.showSDK(t, function)
		r.consume(t, r.start("1"))
		time.Sleep(maxHeldFor) // in the bubble
		require.True(t, r.joined[0].Drain(t.Context()))
		there := len(r.records())
		r.consume(t, r.line("text"), r.done("1"))
		require.Len(t, r.records(), there, "its span may come yet")
		g.logs = errFull
		require.False(t, r.joined[0].Drain(t.Context()))
		g.logs = nil
		require.True(t, r.joined[0].Drain(t.Context()))
		require.Len(t, r.records(), there+2)
		for _, record := range r.records()[there:] {
			require.Equal(t, "1", invocationOf(record), record.Body().AsString())
		}
		require.NoError(t, r.receiver.Shutdown(t.Context()))
		require.Empty(t, r.Health().Counts())
	})
}

// TestShutdownTooLate counts what there is no time for: what is in the pipeline's hands, and all that waits behind it.
func TestShutdownTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, rigSettings{logs: logsFunc(func(ctx context.Context, _ plog.Logs) error {
			<-ctx.Done()
			return ctx.Err()
		})})
		go r.subscriber.Consume(t.Context(), []telemetryapi.Event{
			r.line("in the pipeline"), r.start("a"), r.line("held"), r.line("held too"),
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, r.receiver.Shutdown(ctx), context.DeadlineExceeded)
		require.EqualValues(t, 1, r.Health().Dropped(health.SignalLogs, refused))
		require.EqualValues(t, 3, r.Health().Dropped(health.SignalLogs, abandoned))
		require.EqualValues(t, 1, r.Health().Dropped(health.SignalTraces, abandoned))
	})
}

// TestShutdownDeaf does so as well where the pipeline does not notice that nobody waits for it, once it returns.
func TestShutdownDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		r := newRigWith(t, rigSettings{logs: logsFunc(func(context.Context, plog.Logs) error {
			<-proceed
			return nil
		})})
		go r.subscriber.Consume(t.Context(), []telemetryapi.Event{
			r.line("in the pipeline"), r.start("a"), r.line("held"), r.line("held too"),
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, r.receiver.Shutdown(ctx), context.DeadlineExceeded)
		require.Empty(t, r.Health().Counts())
		close(proceed)
		synctest.Wait()
		require.EqualValues(t, 3, r.Health().Dropped(health.SignalLogs, abandoned))
	})
}
