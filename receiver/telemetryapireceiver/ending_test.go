// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// TestMetricsOfTheEnd has metrics leave with Shutdown if no Drain could take them.
func TestMetricsOfTheEnd(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		for name, tt := range map[string]struct {
			drains bool // before the report
			want   map[string]int
		}{
			"without a last drain": {false, map[string]int{"faas.invocations": 1, "aws.lambda.billed_duration": 1}},
			"after the last drain": {true, map[string]int{"faas.invocations": 1, "aws.lambda.billed_duration": 1}},
		} {
			t.Run(temporality+"/"+name, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.Metrics.Temporality = temporality })
				r.consume(t, r.start("a"), r.done("a"))
				if tt.drains {
					r.ends = time.Now()
					r.joined[0].Drain(t.Context())
					require.Equal(t, 1, r.points()["faas.invocations"])
				}
				r.consume(t, r.event(telemetryapi.EventReport,
					`{"requestId":"a","status":"success","metrics":{"durationMs":3,"billedDurationMs":4}}`))
				require.Zero(t, r.points()["aws.lambda.billed_duration"])
				require.NoError(t, r.receiver.Shutdown(t.Context()))
				got := r.points()
				if temporality == "cumulative" && tt.drains {
					tt.want["faas.invocations"]++ // again, as all streams
				}
				for metric, want := range tt.want {
					require.Equal(t, want, got[metric], metric)
				}
				require.EqualValues(t, 1, r.sum("faas.invocations"))
				require.Empty(t, r.Health().Counts())
			})
		}
	}
}

// TestAfterReset is about a process that another one was there before, in the same environment: the report of an
// invocation that timed out comes to this one, and all else about it came to the other. There is no second span and no
// second outcome of it, but what it has cost is news.
func TestAfterReset(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		t.Run(temporality, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Metrics.Temporality = temporality })
			r.consume(t, r.event(telemetryapi.EventReport,
				`{"requestId":"a","status":"timeout","metrics":{"durationMs":3000,"billedDurationMs":3000,`+
					`"memorySizeMB":128,"maxMemoryUsedMB":70}}`))
			r.joined[0].Drain(t.Context())
			require.Empty(t, r.servers())
			require.Equal(t, map[string]int{
				"aws.lambda.billed_duration": 1, "aws.lambda.memory_size": 1, "faas.mem_usage": 1,
			}, r.points())

			r.consume(t, r.start("b"), r.line("text"), r.done("b"))
			r.ends = time.Now()
			r.joined[0].Drain(t.Context())
			require.NoError(t, r.receiver.Shutdown(t.Context()))
			require.Equal(t, []string{"b"}, r.servers())
			require.EqualValues(t, 1, r.sum("faas.invocations"))
			require.Equal(t, 1, r.points()["faas.invoke_duration"])
			require.Zero(t, r.points()["faas.timeouts"])
			require.Zero(t, r.points()["faas.errors"])
			for _, record := range r.records() {
				require.Equal(t, invocationOf(record) == "b", !record.TraceID().IsEmpty(), record.Body().AsString())
			}
		})
	}
}
