// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// TestCompression: a backend elsewhere gets what is large compressed, one on this machine nothing, unless the
// configuration says so.
func TestCompression(t *testing.T) {
	for name, tt := range map[string]struct {
		endpoint func(loopback string) string
		config   string // of the exporter
		encoding string
	}{
		"elsewhere":    {endpoint: otlpsink.Remote, encoding: "gzip"},
		"loopback":     {endpoint: func(loopback string) string { return loopback }},
		"as is wanted": {endpoint: func(loopback string) string { return loopback }, config: "\n    compression: gzip", encoding: "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const endpoint = "endpoint: ${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}"
			require.Contains(t, usualConfig, endpoint)
			r := newRig(t, setup{
				config: strings.Replace(usualConfig, endpoint, endpoint+tt.config, 1),
				env:    map[string]string{},
				prepare: func(r *rig, s *setup) {
					s.env["OTELCOL_LAMBDA_OTLP_ENDPOINT"] = tt.endpoint(r.sink.HTTPEndpoint())
				},
			})
			r.init(t)
			r.succeedWith(t, `{"spans":20}`)
			r.end(t)
			r.nothingLost(t)
			large := 0
			for _, request := range r.sink.Requests() {
				// The layer leaves small ones as they are, whoever gets them; an exporter does not.
				if request.Bytes >= 1<<10 {
					large++
					require.Equal(t, tt.encoding, request.Header.Get("Content-Encoding"), request.Path)
				}
			}
			require.Positive(t, large)
		})
	}
}
