// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// One of two backends is down for a while: the other one gets everything once and at once, and the one that was down
// gets everything once it is back.
func TestTwoBackends(t *testing.T) {
	for name, fault := range map[string]string{
		"one answers 503": "status=503,for=3s", "one hangs": "hang,first=2", "one is not there": "refuse,for=3s",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults, err := otlpsink.ParseFaults(fault)
			require.NoError(t, err)
			other := otlpsink.New(otlpsink.Options{Faults: faults})
			require.NoError(t, other.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, other.Close()) })
			r := newRig(t, setup{config: strings.NewReplacer(
				"exporters: [otlp_http]", "exporters: [otlp_http, otlp_http/other]",
				"extensions:\n", "  otlp_http/other: {endpoint: \""+other.HTTPEndpoint()+"\"}\nextensions:\n",
			).Replace(usualConfig)})
			r.init(t)
			for range 10 {
				r.succeed(t)
				r.nothingLost(t)
			}
			for start := time.Now(); time.Since(start) < 3*time.Second; {
				require.Less(t, r.invoke(t, `{"sleep_ms":200}`).Held, 4*time.Second)
			}
			other.Release()
			r.end(t)
			r.nothingLost(t)
			ledger := lambdasim.Account(r.tap.Identities(), other.Identities())
			require.Empty(t, ledger.Lost)
			require.Empty(t, ledger.Duplicated)
		})
	}
}
