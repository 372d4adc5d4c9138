// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// TestTelemetryThatMisbehaves has what is made of Lambda's events be the same, however Lambda delivers them.
func TestTelemetryThatMisbehaves(t *testing.T) {
	t.Parallel()
	for fault, options := range map[string]func(*lambdasim.Options){
		"redeliver":   nil,
		"late-invoke": nil,
		"strings":     func(o *lambdasim.Options) { o.LogFormat = lambdasim.LogFormatJSON },
		// The layer may wait for the end of each invocation.
		"delay": func(o *lambdasim.Options) { o.Timeout = 3 * time.Second },
	} {
		for name, program := range map[string]func(*testing.T) string{
			"uninstrumented": uninstrumented.program, "go": goProgram,
		} {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				faults, err := lambdasim.ParseTelemetryFaults(fault)
				require.NoError(t, err)
				r := newTelemetryRig(t, program(t), func(o *lambdasim.Options) {
					o.TelemetryFaults = faults
					if options != nil {
						options(o)
					}
				})
				r.init(t)
				const count = 3
				for range count {
					r.succeed(t)
				}
				r.end(t)

				invocations, rest := r.invocations(t)
				require.Empty(t, rest)
				for n, i := range invocations {
					require.Len(t, r.recordsOf(i.id, "function"), 2)
					if n > 0 {
						require.Equal(t, platformSpans(), i.names())
					}
				}
				require.Equal(t, platformSpans("init"), invocations[0].names())
				r.recordsInTraces(t, invocations)
				r.platformRecordsArrived(t)
				r.linesArrived(t)
				if name == "go" {
					r.nothingLost(t)
				}
				for metric, total := range map[string]int{
					"faas.invocations": count, "faas.invoke_duration": count, "aws.lambda.billed_duration": count,
					"faas.coldstarts": 1, "faas.init_duration": 1, "faas.errors": 0, "faas.timeouts": 0,
				} {
					require.Equal(t, total, r.total(t, metric), metric)
				}
				require.Equal(t, fault == "redeliver", r.Report().Telemetry[0].Redelivered > 0)
				require.Equal(t, fault == "redeliver", r.total(t, "otelcol_lambda.redelivered_events") > 0)
				r.instance(t)
			})
		}
	}
}

// TestLinesThatLambdaDrops are counted, as what Lambda could not hand over and as what the layer has not delivered.
func TestLinesThatLambdaDrops(t *testing.T) {
	t.Parallel()
	r := newTelemetryRig(t, uninstrumented.program(t), func(o *lambdasim.Options) {
		o.TelemetryFaults = lambdasim.TelemetryFaults{Drop: 0.5, Seed: 1}
	})
	r.init(t)
	const count = 4
	for range count {
		r.succeedWith(t, `{"lines":10}`)
	}
	r.end(t)
	dropped, delivered := 0, 0
	for _, s := range r.Report().Telemetry {
		dropped += s.Events["function"].Dropped
		delivered += s.Events["function"].Delivered
	}
	require.Positive(t, dropped)
	require.Positive(t, delivered)

	invocations, rest := r.invocations(t)
	require.Empty(t, rest)
	r.recordsInTraces(t, invocations)
	r.platformRecordsArrived(t)
	r.linesArrived(t)
	require.NotEmpty(t, r.records("platform.logsDropped"))
	require.Equal(t, dropped, r.total(t, "aws.lambda.dropped_log_records"))
	require.Equal(t, dropped,
		r.total(t, "otelcol_lambda.dropped_items", "otelcol.signal", "logs", "reason", "dropped by Lambda"))
	require.Equal(t, count, r.total(t, "faas.invocations"))
}

// TestNoTelemetryAPI has what the function sends delivered without a word of Lambda's, and nobody wait for one.
func TestNoTelemetryAPI(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]lambdasim.TelemetryMode{
		"not supported": lambdasim.TelemetryNotSupported,
		"refused":       lambdasim.TelemetryRefused,
		"failing":       lambdasim.TelemetryFailing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var timeout time.Duration
			r := newTelemetryRig(t, goProgram(t), func(o *lambdasim.Options) { o.Telemetry, timeout = mode, o.Timeout })
			r.init(t)
			for range 3 {
				require.Less(t, r.succeed(t).Held, timeout/2, "the layer waits for what does not come")
			}
			r.end(t)
			invocations, rest := r.invocations(t)
			require.Empty(t, rest)
			for _, i := range invocations {
				require.False(t, i.ours())
				require.Empty(t, i.names())
			}
			r.nothingLost(t)
			require.Zero(t, r.total(t, "faas.invocations"))
		})
	}
}

// TestTelemetryWithTheKeysOfTheOpenTelemetryLayer runs a configuration for its receiver and its coldstart processor,
// unchanged.
func TestTelemetryWithTheKeysOfTheOpenTelemetryLayer(t *testing.T) {
	t.Parallel()
	const config = `
receivers:
  telemetryapi:
    types: ["platform", "function"]
    log_report: true
    metrics_temporality: delta
    export_interval_ms: 0
  otlp:
    protocols:
      grpc:
        endpoint: "localhost:@GRPC@"
      http:
        endpoint: "localhost:@HTTP@"
processors:
  coldstart:
  batch:
  decouple:
exporters:
  otlphttp:
    endpoint: "@BACKEND@"
service:
  pipelines:
    traces:
      receivers: [telemetryapi, otlp]
      processors: [coldstart, batch, decouple]
      exporters: [otlphttp]
    metrics:
      receivers: [telemetryapi, otlp]
      processors: [batch, decouple]
      exporters: [otlphttp]
    logs:
      receivers: [telemetryapi, otlp]
      processors: [batch, decouple]
      exporters: [otlphttp]
`
	for name, program := range map[string]func(*testing.T) string{
		"uninstrumented": uninstrumented.program, "go": goProgram,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := program(t)
			r := newRig(t, setup{config: config, options: func(o *lambdasim.Options) {
				o.Function, o.Timeout = []string{function}, 30*time.Second
			}})
			r.init(t)
			const count = 3
			for range count {
				r.succeed(t)
			}
			r.end(t)

			invocations, rest := r.invocations(t)
			require.Empty(t, rest)
			require.Equal(t, platformSpans("init"), invocations[0].names())
			r.recordsInTraces(t, invocations)
			r.platformRecordsArrived(t)
			r.linesArrived(t)
			if name == "go" {
				r.nothingLost(t)
			}
			require.Len(t, r.records("platform.report"), count)
			for metric, total := range map[string]int{
				"faas.invocations": count, "faas.invoke_duration": count, "aws.lambda.billed_duration": count,
				"faas.coldstarts": 1, "faas.init_duration": 1, "faas.errors": 0,
			} {
				require.Equal(t, total, r.total(t, metric), metric)
			}
			r.deltas(t)
			r.instance(t)
		})
	}
}

// deltas checks that all that is measured of invocations is told as it happens, once.
func (r *rig) deltas(t *testing.T) {
	t.Helper()
	points := 0
	for _, p := range r.sink.Points() {
		name := p.Metric.Name()
		if !strings.HasPrefix(name, "faas.") && !strings.HasPrefix(name, "aws.lambda.") ||
			p.Metric.Type() == pmetric.MetricTypeGauge {
			continue
		}
		require.Equal(t, pmetric.AggregationTemporalityDelta, temporality(p.Metric), name)
		points++
	}
	require.Positive(t, points)
	require.Greater(t, len(r.starts("faas.invocations")), 1, "each delivery has its own part of the time")
}
