// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
)

// BenchmarkInvoke is what the loop itself costs for an invocation at whose end data is delivered.
func BenchmarkInvoke(b *testing.B) {
	cfg := createDefaultConfig().(*Config)
	cfg.Flush.Strategy = "end"
	e := newExtension(zap.NewNop(), cfg, settings{})
	e.running, e.schedule = b.Context(), ScheduleFlush
	e.heap = noHeap()
	e.heard.Store(true)
	for range 3 { // traces, metrics and logs
		e.Join(&promptHolder{})
	}
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("8476a536-e9f4-11e8-9739-%012d", i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		id := ids[n%len(ids)]
		n++
		e.invocations.finish(id)
		e.invoke(b.Context(), invokeEvent(id, 3*time.Second))
		e.invocations.report(id)
	}
	e.wg.Wait()
}
