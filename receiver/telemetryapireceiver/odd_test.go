// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// TestOddEvents has no event do more harm than to be of no use, whatever there is in it: once, twice and next to
// others like it.
func TestOddEvents(t *testing.T) {
	kinds := []telemetryapi.EventType{
		telemetryapi.EventStart, telemetryapi.EventRuntimeDone, telemetryapi.EventReport,
		telemetryapi.EventInitStart, telemetryapi.EventInitRuntimeDone, telemetryapi.EventInitReport,
		telemetryapi.EventRestoreStart, telemetryapi.EventRestoreRuntimeDone, telemetryapi.EventRestoreReport,
		telemetryapi.EventLogsDropped, telemetryapi.EventFunction, telemetryapi.EventExtensionLog,
		"platform.extension", "platform.new", "new", "",
	}
	records := []string{
		``, `null`, `1`, `"x"`, `[]`, `{}`, `{`, "\xff",
		`{"requestId":1,"metrics":[],"spans":{}}`,
		`{"requestId":"","status":"error"}`,
		`{"requestId":"a","status":5,"metrics":{"durationMs":-1e308,"billedDurationMs":1e308,"maxMemoryUsedMB":1e308,` +
			`"memorySizeMB":-5,"producedBytes":-1},"spans":[{"name":"responseLatency","start":"0001-01-01T00:00:00Z",` +
			`"durationMs":-1e300},{"name":"x","start":"x","durationMs":1e300},{}]}`,
		`{"requestId":"b","status":"success","metrics":{"durationMs":1e308}}`,
		`{"requestId":"c","version":"","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-0-0;Parent=0;Sampled=9"}}`,
		`{"initializationType":"on-demand","phase":"init","status":"error","metrics":{"durationMs":1e308}}`,
		`{"initializationType":"snap-start","phase":"invoke","instanceId":7}`,
		`{"droppedRecords":-1e300,"droppedBytes":1e300}`,
	}
	now := time.Now()
	times := []time.Time{{}, now, now.Add(-time.Hour), time.Unix(-1e10, 0), time.Unix(0, 0), time.Unix(1<<40, 0)}
	for name, tt := range map[string]struct {
		initialization string
		change         func(*Config)
	}{
		"by default":        {"on-demand", nil},
		"X-Ray's traces":    {"on-demand", func(c *Config) { c.Traces.XRayContext = "parent" }},
		"delta metrics":     {"on-demand", func(c *Config) { c.Metrics.Temporality = "delta" }},
		"Managed Instances": {managedInstances, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", tt.initialization)
			r := newRig(t, tt.change)
			for _, kind := range kinds {
				for _, record := range records {
					for _, at := range times {
						event := telemetryapi.Event{Type: kind, Time: at, Record: json.RawMessage(record)}
						r.consume(t, event)
						r.consume(t, event, event)
					}
				}
				r.joined[0].Drain(t.Context())
			}
			r.ends = time.Now()
			r.joined[0].Drain(t.Context())
			require.NoError(t, r.receiver.Shutdown(t.Context()))
			for _, count := range r.Health().Counts() {
				require.Equal(t, health.UnknownFields, count.Metric, "nothing is lost")
			}
			require.NotEmpty(t, r.records())
			require.NotEmpty(t, r.spans())
			ids := map[pcommon.SpanID]bool{}
			for _, span := range r.spans() {
				require.NotEmpty(t, span.Name())
				require.False(t, span.TraceID().IsEmpty(), span.Name())
				require.False(t, span.SpanID().IsEmpty(), span.Name())
				require.False(t, ids[span.SpanID()], "a span comes once")
				ids[span.SpanID()] = true
				require.LessOrEqual(t, span.StartTimestamp(), span.EndTimestamp(), span.Name())
			}
			for _, record := range r.records() {
				require.Equal(t, record.TraceID().IsEmpty(), record.SpanID().IsEmpty(), record.Body().AsString())
			}
			requireSaneMetrics(t, r)
		})
	}
}

// requireSaneMetrics has no point end before it begins, and none below zero.
func requireSaneMetrics(t *testing.T, r *rig) {
	t.Helper()
	require.NotEmpty(t, r.metrics.AllMetrics())
	for _, md := range r.metrics.AllMetrics() {
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			switch m.Type() {
			case pmetric.MetricTypeHistogram:
				for _, point := range m.Histogram().DataPoints().All() {
					require.LessOrEqual(t, point.StartTimestamp(), point.Timestamp(), m.Name())
					require.GreaterOrEqual(t, point.Min(), 0.0, m.Name())
				}
			default:
				for _, point := range points(m).All() {
					require.LessOrEqual(t, point.StartTimestamp(), point.Timestamp(), m.Name())
					require.GreaterOrEqual(t, point.IntValue(), int64(0), m.Name())
				}
			}
		}
	}
}
