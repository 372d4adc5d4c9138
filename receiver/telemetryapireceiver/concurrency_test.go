// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// TestAllAtOnce has deliveries, flushes, invocations, spans of the function and Shutdown come at the same time. It is
// for the race detector, and for the account of what has become of each line.
func TestAllAtOnce(t *testing.T) {
	const invocations = 300
	function := newFunction(t)
	r := newRigWith(t, rigSettings{function: function})
	consume, drain, begin := r.subscriber.Consume, r.joined[0].Drain, r.hooks[0]
	half := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range invocations {
			if i == invocations/2 {
				close(half)
			}
			id := strconv.Itoa(i)
			consume(context.Background(), []telemetryapi.Event{r.start(id), r.line("one")})
			if i%3 > 0 {
				function.ObserveTraces(sdkSpan(pcommon.TraceID{1, byte(i)}, id))
			}
			consume(context.Background(), []telemetryapi.Event{r.line("two"), r.done(id)})
		}
	})
	for range 3 {
		wg.Go(func() {
			for range invocations {
				drain(context.Background())
				begin()
			}
		})
	}
	<-half
	require.NoError(t, r.receiver.Shutdown(t.Context()))
	wg.Wait()
	lost := r.Health().Dropped(health.SignalLogs, abandoned)
	require.EqualValues(t, 4*invocations, int64(len(r.records()))+lost)
	require.GreaterOrEqual(t, len(r.records()), 4*(invocations/2-1))
	require.Zero(t, r.Health().Dropped(health.SignalLogs, refused))
	require.Zero(t, r.Health().Dropped(health.SignalTraces, refused))
	require.LessOrEqual(t, r.sum("faas.invocations"), int64(invocations))
}
