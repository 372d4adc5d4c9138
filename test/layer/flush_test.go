// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tracesOnly is a configuration that carries nothing but what the function sends as traces.
const tracesOnly = `
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:@HTTP@"}
processors: {batch: }
exporters: {otlp_http: {endpoint: "@BACKEND@"}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp_http]}
`

// Each strategy delivers everything, in the end; `end` before each freeze, and the ones that hold nothing soon.
func TestStrategies(t *testing.T) {
	for strategy, holds := range map[string]bool{"end": true, "periodic": false, "race": false, "adaptive": true} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{env: map[string]string{
				"OTELCOL_LAMBDA_FLUSH_STRATEGY": strategy, "OTELCOL_LAMBDA_FLUSH_INTERVAL": "200ms",
			}})
			r.init(t)
			shortest := time.Minute
			for range 10 {
				shortest = min(shortest, r.succeed(t).Held)
				if holds {
					r.nothingLost(t)
				}
			}
			if !holds {
				// Waiting for Lambda's word takes about the 25 ms of its buffer, each time.
				require.Less(t, shortest, 10*time.Millisecond)
			}
			for range 5 {
				r.invoke(t, `{"sleep_ms":100}`)
			}
			require.NotEmpty(t, r.sink.Spans(), "data does not wait for the end of the environment")
			r.end(t)
			r.nothingLost(t)
			r.linesArrived(t)
		})
	}
}

// An invocation that takes long does not sit on its data.
func TestLongInvocation(t *testing.T) {
	r := newRig(t, setup{env: map[string]string{"OTELCOL_LAMBDA_FLUSH_INTERVAL": "200ms"}})
	r.init(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.succeedWith(t, `{"sleep_ms":3000}`)
	}()
	require.Eventually(t, func() bool { return len(r.records("function")) > 0 }, 10*time.Second, 10*time.Millisecond)
	select {
	case <-done:
		require.Fail(t, "the function's first line arrived only at its end")
	default:
	}
	<-done
	r.end(t)
	r.nothingLost(t)
}

// Where the function's spans are all there is, their arrival is the end of the invocation.
func TestRootSpan(t *testing.T) {
	r := newRig(t, setup{config: tracesOnly})
	r.init(t)
	for range 5 {
		r.succeed(t)
		r.nothingLost(t)
	}
	r.end(t)
}

// Lambda is asked for events only where somebody uses them.
func TestNoSubscriptionThatNobodyNeeds(t *testing.T) {
	r := newRig(t, setup{config: tracesOnly, env: map[string]string{"OTELCOL_LAMBDA_FLUSH_STRATEGY": "periodic"}})
	r.init(t)
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
	require.Empty(t, r.Report().Telemetry)
}

// A mistake in a variable is said, and costs nothing else.
func TestFlushVariableThatIsWrong(t *testing.T) {
	r := newRig(t, setup{env: map[string]string{"OTELCOL_LAMBDA_FLUSH_STRATEGY": "sometimes"}})
	r.init(t)
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
	require.Equal(t, 1, strings.Count(r.log.String(), `unknown flush strategy \"sometimes\"`))
}

// The answer to a request comes while the environment is frozen, for longer than any request may take. It has been waiting
// when the environment is thawed, and is taken for what it is.
func TestAnswerThatComesInAFreeze(t *testing.T) {
	r := newRig(t, setup{
		config: strings.Replace(usualConfig, "  decouple:\n", "  decouple: {timeout: 1s}\n", 1),
		faults: "latency=100ms",
		env: map[string]string{
			"OTELCOL_LAMBDA_FLUSH_STRATEGY": "periodic", "OTELCOL_LAMBDA_FLUSH_INTERVAL": "50ms",
		},
	})
	r.init(t)
	for range 4 {
		r.succeed(t)
		time.Sleep(1500 * time.Millisecond) // frozen
	}
	require.NoError(t, r.sink.SetFaults())
	r.end(t)
	r.nothingLost(t)
	require.NotContains(t, r.log.String(), "does not take data")
}
