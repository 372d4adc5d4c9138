// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// TestConfigurationsOfTheOpenTelemetryLayer runs what its users have in production, unchanged.
func TestConfigurationsOfTheOpenTelemetryLayer(t *testing.T) {
	const withDecouple = `
receivers:
  telemetryapi:
    types: [platform, function]
  otlp:
    protocols:
      grpc:
        endpoint: "localhost:@GRPC@"
      http:
        endpoint: "localhost:@HTTP@"
processors:
  batch:
  decouple:
    max_queue_size: 200
exporters:
  otlphttp:
    endpoint: "@BACKEND@"
  debug:
    verbosity: detailed
service:
  pipelines:
    traces:
      receivers: [otlp, telemetryapi]
      processors: [batch, decouple]
      exporters: [otlphttp, debug]
    metrics:
      receivers: [otlp, telemetryapi]
      processors: [batch, decouple]
      exporters: [otlphttp]
    logs:
      receivers: [otlp, telemetryapi]
      processors: [batch, decouple]
      exporters: [otlphttp]
  telemetry:
    logs:
      level: debug
    metrics:
      address: localhost:8888
`
	const withoutDecouple = `
receivers:
  telemetryapi:
  otlp:
    protocols:
      http:
        endpoint: localhost:@HTTP@
exporters:
  otlphttp/backend:
    endpoint: @BACKEND@
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlphttp/backend]
    metrics:
      receivers: [otlp]
      exporters: [otlphttp/backend]
    logs:
      receivers: [otlp, telemetryapi]
      exporters: [otlphttp/backend]
`
	const grpc = `
receivers:
  telemetryapi:
    types: [function]
  otlp:
    protocols:
      http:
        endpoint: localhost:@HTTP@
processors:
  batch:
exporters:
  otlp:
    endpoint: @BACKEND_GRPC@
    tls:
      insecure: true
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [otlp]}
    logs: {receivers: [otlp, telemetryapi], processors: [batch], exporters: [otlp]}
`
	for name, tt := range map[string]struct {
		config    string
		transport otlpsink.Transport
	}{
		"with decouple":    {config: withDecouple, transport: otlpsink.TransportHTTP},
		"without decouple": {config: withoutDecouple, transport: otlpsink.TransportHTTP},
		"OTLP/gRPC":        {config: grpc, transport: otlpsink.TransportGRPC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{config: tt.config})
			r.init(t)
			for range 3 {
				r.succeed(t)
				r.nothingLost(t)
			}
			r.end(t)
			r.nothingLost(t)
			r.linesArrived(t)
			for _, span := range r.sink.Spans() {
				require.Equal(t, tt.transport, span.Transport)
			}
		})
	}
}
