// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const namedID = "0af7651916cd43dd8448eb211c80319c"

func TestNamedTrace(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"level":"INFO","trace_id":"` + namedID + `","message":"x"}`: true,
		`"{\"trace_id\":\"` + namedID + `\"}\n"`:                      true,
		`{"traceId": "` + namedID + `"}`:                              true,
		`"time=1 trace_id=` + namedID + ` msg=x"`:                     true,
		`"trace_id ` + namedID + `"`:                                  true,
		`"` + namedID + `"`:                                           false,
		`{"trace_id":"` + namedID + `0"}`:                             false,
		`{"trace_id":"` + namedID[1:] + `"}`:                          false,
		`{"trace_id":"00000000000000000000000000000000"}`:             false,
		`{"trace_id":null,"other":"` + namedID + `"}`:                 false,
		`{"trace_id":`: false,
		``:             false,
	} {
		trace, ok := namedTrace([]byte(line))
		require.Equal(t, want, ok, line)
		if ok {
			require.Equal(t, namedID, trace.String(), line)
		}
	}
}

// TestKilledInTheTraceOfItsLines has all of an invocation in one trace although the SDK did not come to send a span.
func TestKilledInTheTraceOfItsLines(t *testing.T) {
	t.Parallel()
	for name, deliveries := range map[string]int{"at once": 1, "one by one": 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			events := []telemetryapi.Event{
				r.start("a"), r.event(telemetryapi.EventFunction, `{"message":"one","trace_id":%q}`, namedID), r.line("two"),
				r.event(telemetryapi.EventRuntimeDone, `{"requestId":"a","status":"error","errorType":"Runtime.ExitError"}`),
			}
			for each := range slices.Chunk(events, len(events)/deliveries) {
				r.consume(t, each...)
			}
			require.Len(t, r.spans(), 1)
			require.Equal(t, namedID, r.spans()[0].TraceID().String())
			require.Len(t, r.records(), len(events))
			for _, record := range r.records() {
				require.Equal(t, namedID, record.TraceID().String())
			}
			require.NoError(t, r.receiver.Shutdown(t.Context()))
		})
	}
}
