// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// BenchmarkHeld is what it costs that an invocation's lines wait for the SDK's span: an invocation logs many short
// lines in many deliveries.
func BenchmarkHeld(b *testing.B) {
	const deliveries, lines = 60, 1000
	for name, invocation := range map[string]string{"held": invocationAuto, "not held": invocationAlways} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := newRigWith(b, rigSettings{
					change: func(c *Config) { c.Traces.Invocation = invocation },
					logs:   consumertest.NewNop(), traces: consumertest.NewNop(), metrics: consumertest.NewNop(),
				})
				delivery := make([]telemetryapi.Event, lines)
				for i := range delivery {
					delivery[i] = r.line("ab")
				}
				r.subscriber.Consume(b.Context(), []telemetryapi.Event{r.start("a")})
				for range deliveries {
					r.subscriber.Consume(b.Context(), delivery)
				}
				require.NoError(b, r.receiver.Shutdown(b.Context()))
			}
		})
	}
}
