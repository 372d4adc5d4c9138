// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withoutBatch is usualConfig with nothing but decouple to merge what the function sends.
func withoutBatch() string {
	return strings.ReplaceAll(usualConfig, "memory_limiter, batch, ", "memory_limiter, ")
}

// Under load data leaves once in an interval, however many pieces it comes in, and all of it arrives while the instance
// lives.
func TestManagedInstanceUnderLoad(t *testing.T) {
	for name, config := range map[string]string{"usual": usualConfig, "without batch": withoutBatch()} {
		t.Run(name, func(t *testing.T) {
			i := newInstance(t, instanceSetup{setup: setup{config: config}, concurrency: 8})
			began := time.Now()
			i.load(t, 500, `{"sleep_ms":20}`)
			took := time.Since(began)
			i.everythingArrived(t)
			requests, pieces := len(i.sink.Requests()), len(i.tap.Requests())
			t.Logf("500 invocations in %s sent %d requests, of which the layer made %d",
				took.Round(time.Millisecond), pieces, requests)
			// A request of each signal in each quarter of an interval is the most there can be, with the first and the last.
			const signals = 3
			require.LessOrEqual(t, requests, signals*(2+int(time.Since(began)/(time.Second/4))))
			require.Less(t, requests, pieces/4)
			i.end(t)
			i.everythingArrived(t)
		})
	}
}

// Of an instance that turns quiet everything leaves when the last report has come, however long the interval is.
func TestManagedInstanceTurnsQuiet(t *testing.T) {
	i := newInstance(t, instanceSetup{
		setup: setup{env: map[string]string{"OTELCOL_LAMBDA_FLUSH_INTERVAL": "1h"}}, concurrency: 4,
	})
	i.load(t, 4, `{"sleep_ms":200}`)
	i.everythingArrived(t)
	i.end(t)
}

// Where Lambda's events are not to be had, or nobody wants them, data leaves by time alone.
func TestManagedInstanceByTimeAlone(t *testing.T) {
	for name, s := range map[string]instanceSetup{
		"nobody wants events":         {setup: setup{config: tracesOnly}},
		"the subscription is refused": {refuse: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.concurrency = 4
			s.env = map[string]string{"OTELCOL_LAMBDA_FLUSH_INTERVAL": "200ms"}
			i := newInstance(t, s)
			i.load(t, 20, `{"sleep_ms":50}`)
			i.everythingArrived(t)
			require.False(t, i.telemetry.subscribed())
			i.end(t)
		})
	}
}

// What nothing has sent off yet leaves at SHUTDOWN.
func TestManagedInstanceEnds(t *testing.T) {
	i := newInstance(t, instanceSetup{
		setup: setup{env: map[string]string{"OTELCOL_LAMBDA_FLUSH_INTERVAL": "1h"}}, refuse: true, concurrency: 4,
	})
	i.load(t, 8, `{}`)
	require.Empty(t, i.sink.Requests())
	i.end(t)
	i.everythingArrived(t)
}
