// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// What happens to the layer leaves with the next delivery, once, and again only when it has changed.
func TestHealth(t *testing.T) {
	since := time.UnixMilli(1_800_000_000_000)
	lifecycle := &fakeLifecycle{health: health.NewRegistry(since)}
	sink := new(consumertest.MetricsSink)
	r, err := NewFactory().CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), defaultConfig(), sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	require.Len(t, lifecycle.joined, 1)
	participant := lifecycle.joined[0]
	require.False(t, participant.Drain(t.Context()), "a layer that is well has nothing to say")

	spans := []health.Attribute{{Key: health.AttrSignal, Value: "traces"}, {Key: health.AttrReason, Value: "queue full"}}
	lifecycle.health.Add(health.DroppedItems, 2, spans...)
	lifecycle.health.Add(health.DroppedItems, 3, health.Attribute{Key: health.AttrSignal, Value: "logs"})
	lifecycle.health.Set(health.GuardDeaths, 4, since.Add(-time.Second))
	require.True(t, participant.Drain(t.Context()))
	require.False(t, participant.Drain(t.Context()))
	require.NoError(t, participant.Flush(t.Context()))

	require.Len(t, sink.AllMetrics(), 1)
	rm := sink.AllMetrics()[0].ResourceMetrics()
	require.Equal(t, 1, rm.Len())
	name, _ := rm.At(0).Resource().Attributes().Get(attrFaasName)
	require.Equal(t, "checkout", name.Str())
	metrics := rm.At(0).ScopeMetrics().At(0).Metrics()
	require.Equal(t, 2, metrics.Len(), "one for each name")
	dropped, deaths := metrics.At(0), metrics.At(1)
	require.Equal(t, "otelcol_lambda.dropped_items", dropped.Name())
	require.Equal(t, "{item}", dropped.Unit())
	require.True(t, dropped.Sum().IsMonotonic())
	require.Equal(t, pmetric.AggregationTemporalityCumulative, dropped.Sum().AggregationTemporality())
	require.Equal(t, 2, dropped.Sum().DataPoints().Len())
	require.Equal(t, int64(3), dropped.Sum().DataPoints().At(0).IntValue())
	point := dropped.Sum().DataPoints().At(1)
	require.Equal(t, int64(2), point.IntValue())
	require.Equal(t, map[string]any{"otelcol.signal": "traces", "reason": "queue full"}, point.Attributes().AsRaw())
	require.Equal(t, since.UTC(), point.StartTimestamp().AsTime())
	require.Equal(t, int64(4), deaths.Sum().DataPoints().At(0).IntValue())
	require.Equal(t, since.Add(-time.Second).UTC(), deaths.Sum().DataPoints().At(0).StartTimestamp().AsTime())

	lifecycle.health.Add(health.DroppedItems, 5, spans...)
	require.True(t, participant.Drain(t.Context()))
	require.Len(t, sink.AllMetrics(), 2)
	require.NoError(t, r.Shutdown(t.Context()))
	require.Empty(t, lifecycle.joined)
	lifecycle.health.Add(health.DroppedItems, 1)
	require.False(t, participant.Drain(t.Context()), "nobody takes it any more")
}

// What the receiver itself loses leaves like everything else.
func TestHealthOfTheReceiver(t *testing.T) {
	lifecycle, factory, cfg := &fakeLifecycle{}, NewFactory(), defaultConfig()
	set := receivertest.NewNopSettings(metadata.Type)
	permanent := consumererror.NewPermanent(errors.New("no such tenant"))
	logs, err := factory.CreateLogs(t.Context(), set, cfg, consumertest.NewErr(permanent))
	require.NoError(t, err)
	sink := new(consumertest.MetricsSink)
	metrics, err := factory.CreateMetrics(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	require.NoError(t, logs.Start(t.Context(), hostWith(lifecycle)))
	require.NoError(t, metrics.Start(t.Context(), hostWith(lifecycle)))

	lifecycle.subscriber.Consume(t.Context(), append(line("a"), line("b")...))
	require.True(t, lifecycle.joined[0].Drain(t.Context()))
	metric := sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	require.Equal(t, "otelcol_lambda.dropped_items", metric.Name())
	require.Equal(t, 1, metric.Sum().DataPoints().Len())
	point := metric.Sum().DataPoints().At(0)
	require.Equal(t, int64(2), point.IntValue())
	require.Equal(t, map[string]any{"otelcol.signal": "logs", "reason": "refused by the pipeline"}, point.Attributes().AsRaw())
	require.NoError(t, logs.Shutdown(t.Context()))
	require.NoError(t, metrics.Shutdown(t.Context()))
}

func TestReasonIsDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/health.md")
	require.NoError(t, err)
	require.Contains(t, string(docs), "| `"+refused+"` |")
}

// What a pipeline refuses is not forgotten.
func TestHealthRefused(t *testing.T) {
	lifecycle := &fakeLifecycle{health: health.NewRegistry(time.Now())}
	lifecycle.health.Add(health.DroppedItems, 1)
	cfg := defaultConfig()
	factory := NewFactory()
	r, err := factory.CreateMetrics(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg,
		consumertest.NewErr(errors.New("no room")))
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	require.False(t, lifecycle.joined[0].Drain(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
	require.True(t, lifecycle.health.Report(time.Now(), false, func([]health.Count) error { return nil }))
}
