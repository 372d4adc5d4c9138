// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// TestObsReport has the collector's own telemetry of receivers, where there is such telemetry.
func TestObsReport(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	set := receivertest.NewNopSettings(metadata.Type)
	obs, err := newObsReport(set)
	require.NoError(t, err)
	require.Equal(t, nobody{}, obs)

	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	sink := &consumertest.LogsSink{}
	r, err := NewFactory().CreateLogs(t.Context(), set, defaultConfig(), sink)
	require.NoError(t, err)
	lifecycle := &fakeLifecycle{}
	require.NoError(t, r.Start(t.Context(), hostWith(lifecycle)))
	lifecycle.subscriber.Consume(t.Context(), line("text"))
	require.NoError(t, r.Shutdown(t.Context()))
	require.Len(t, sink.AllLogs(), 1)
	_, err = telemetry.GetMetric("otelcol_receiver_accepted_log_records")
	require.NoError(t, err)
	require.Len(t, telemetry.SpanRecorder.Ended(), 1)

	set.TracerProvider = nooptrace.NewTracerProvider()
	obs, err = newObsReport(set)
	require.NoError(t, err)
	require.NotEqual(t, nobody{}, obs, "metrics alone are enough")
	require.NoError(t, telemetry.Shutdown(t.Context()))
}
