// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func TestParseSubscription(t *testing.T) {
	const destination = `"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/path"}`
	const valid = `"schemaVersion":"2022-12-13","types":["platform"],`
	for name, tt := range map[string]struct {
		body string
		want subscription
		err  string
	}{
		"defaults": {
			body: `{` + valid + destination + `}`,
			want: subscription{
				schemaVersion: "2022-12-13", types: []telemetryapi.Stream{"platform"}, maxItems: 10_000, maxBytes: 262_144,
				timeout: time.Second, url: "http://sandbox.localdomain:4243/path",
			},
		},
		"smallest": {
			body: `{` + valid + `"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},` + destination + `}`,
			want: subscription{
				schemaVersion: "2022-12-13", types: []telemetryapi.Stream{"platform"}, maxItems: 1000, maxBytes: 262_144,
				timeout: 25 * time.Millisecond, url: "http://sandbox.localdomain:4243/path",
			},
		},
		"largest, other host": {
			body: `{"schemaVersion":"2025-01-29","types":["platform","function","extension"],` +
				`"buffering":{"maxItems":10000,"maxBytes":1048576,"timeoutMs":30000},` +
				`"destination":{"protocol":"HTTP","URI":"http://sandbox:1"}}`,
			want: subscription{
				schemaVersion: "2025-01-29", types: []telemetryapi.Stream{"platform", "function", "extension"},
				maxItems: 10_000, maxBytes: 1_048_576, timeout: 30 * time.Second, url: "http://sandbox:1",
			},
		},
		"no JSON": {body: `{`, err: "body is not valid"},
		"everything wrong": {
			body: `{"buffering":{"maxItems":999,"maxBytes":1048577,"timeoutMs":24}}`,
			err: "schemaVersion should be one of 2022-07-01, 2022-12-13, 2025-01-29; types should not be empty; " +
				"maxItems should be between 1000 and 10000; maxBytes should be between 262144 and 1048576; " +
				"timeoutMs should be between 25 and 30000; " +
				`destination protocol "" is not supported here: use HTTP`,
		},
		"unknown type": {
			body: `{"schemaVersion":"2025-01-29","types":["platform","kernel"],` + destination + `}`,
			err:  `types should be platform, function or extension, not "kernel"`,
		},
		"TCP": {
			body: `{` + valid + `"destination":{"protocol":"TCP","port":4243}}`,
			err:  `destination protocol "TCP" is not supported here: use HTTP`,
		},
		"TLS": {
			body: `{` + valid + `"destination":{"protocol":"HTTP","URI":"https://sandbox:1"}}`,
			err:  "destination URI should start with http://",
		},
		"other host": {
			body: `{` + valid + `"destination":{"protocol":"HTTP","URI":"http://localhost:1"}}`,
			err:  "destination URI host should be sandbox.localdomain or sandbox",
		},
		"no port": {
			body: `{` + valid + `"destination":{"protocol":"HTTP","URI":"http://sandbox"}}`,
			err:  "URI port is not provided",
		},
		"no such port": {
			body: `{` + valid + `"destination":{"protocol":"HTTP","URI":"http://sandbox:65536"}}`,
			err:  "URI port should be between 1 and 65535",
		},
		"no URI": {
			body: `{` + valid + `"destination":{"protocol":"HTTP","URI":"http://sandbox:port"}}`,
			err:  "destination URI is not valid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseSubscription([]byte(tt.body))
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// Whatever is accepted can be used.
func FuzzParseSubscription(f *testing.F) {
	f.Add([]byte(validSubscription))
	f.Add([]byte(`{"schemaVersion":"2022-07-01","types":["x"],"buffering":{"maxItems":-1},"destination":{"URI":":"}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sub, err := parseSubscription(body)
		if err != nil {
			require.Equal(t, subscription{}, sub)
			return
		}
		require.NotEmpty(t, sub.types)
		require.Contains(t, schemaVersions, sub.schemaVersion)
		require.GreaterOrEqual(t, sub.maxItems, minMaxItems)
		require.LessOrEqual(t, sub.maxItems, maxMaxItems)
		require.GreaterOrEqual(t, sub.maxBytes, minMaxBytes)
		require.LessOrEqual(t, sub.maxBytes, maxMaxBytes)
		require.GreaterOrEqual(t, sub.timeout, minBufferTimeout*time.Millisecond)
		require.LessOrEqual(t, sub.timeout, maxBufferTimeout*time.Millisecond)
		require.Regexp(t, `^http://sandbox(\.localdomain)?:`, sub.url)
	})
}
