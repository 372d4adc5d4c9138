// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// held is the default of extensions::lambda::flush::timeout and what the signal that ends the wait costs.
const held = 3*time.Second + 500*time.Millisecond

func TestBackendThatRecovers(t *testing.T) {
	for name, faults := range map[string]string{
		"after 20 answers of 503": "status=503,first=20",
		"after resets":            "reset,first=6",
		"slow":                    "latency=300ms",
		"slower than a flush":     "latency=3500ms,first=3",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{faults: faults})
			r.init(t)
			for range 40 {
				require.LessOrEqual(t, r.succeed(t).Held, held)
				time.Sleep(20 * time.Millisecond) // frozen
			}
			r.end(t)
			r.nothingLost(t)
			r.linesArrived(t)
		})
	}
}

func TestBackendThatHangs(t *testing.T) {
	r := newRig(t, setup{faults: "hang"})
	r.init(t)
	first := r.succeed(t)
	require.LessOrEqual(t, first.Held, held)
	var total time.Duration
	for range 10 {
		total += r.succeed(t).Held
	}
	require.LessOrEqual(t, total, held, "one more try, at most, holds an invocation")
	r.end(t)
	r.says(t, "not delivered before shutdown")
}

func TestBackendThatRefusesConnections(t *testing.T) {
	r := newRig(t, setup{env: map[string]string{"OTELCOL_LAMBDA_OTLP_ENDPOINT": "http://127.0.0.1:1"}})
	r.init(t)
	require.LessOrEqual(t, r.succeed(t).Held, held)
	var total time.Duration
	for range 10 {
		total += r.succeed(t).Held
	}
	require.LessOrEqual(t, total, held)
	r.end(t)
	r.says(t, "The backend does not take data")
	r.says(t, "not delivered before shutdown")
}

func TestBackendThatRefusesForGood(t *testing.T) {
	r := newRig(t, setup{faults: "status=401,first=3"})
	r.init(t)
	for range 3 {
		require.LessOrEqual(t, r.succeed(t).Held, time.Second)
	}
	r.end(t)
	r.says(t, "refused by the backend")
	require.NotEmpty(t, r.sink.Spans(), "later data is not affected")
}

// TestFullQueueDoesNotSlowTheFunctionDown has more data come than the queue holds while the backend is down.
func TestFullQueueDoesNotSlowTheFunctionDown(t *testing.T) {
	r := newRig(t, setup{
		config: strings.Replace(usualConfig, "  decouple:\n", "  decouple: {max_queue_bytes: 4000}\n", 1),
		env:    map[string]string{"OTELCOL_LAMBDA_OTLP_ENDPOINT": "http://127.0.0.1:1"},
	})
	r.init(t)
	r.succeed(t)
	for range 10 {
		i := r.succeed(t)
		require.Less(t, i.FunctionDuration, time.Second, "the function's SDK gives up after a second of trying")
	}
	r.end(t)
	r.says(t, "the oldest data is dropped")
}
