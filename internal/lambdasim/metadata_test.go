// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func TestMetadata(t *testing.T) {
	a := newAPI(t, Options{AvailabilityZoneID: "euw1-az3"})
	const path = "/2026-01-15/metadata/execution-environment"
	bearer := map[string]string{"Authorization": "Bearer " + a.token}
	for range 2 {
		got := a.do(http.MethodGet, path, bearer, "")
		require.Equal(t, http.StatusOK, got.status)
		require.JSONEq(t, `{"AvailabilityZoneID":"euw1-az3"}`, got.body)
		require.Equal(t, "private, max-age=43200, immutable", got.header.Get("Cache-Control"))
	}
	for _, header := range []map[string]string{nil, {"Authorization": a.token}, {"Authorization": "Bearer wrong"}} {
		require.Equal(t, http.StatusUnauthorized, a.do(http.MethodGet, path, header, "").status)
	}
	require.Equal(t, http.StatusMethodNotAllowed, a.do(http.MethodPost, path, bearer, "").status)
	require.Equal(t, 2, a.Report().MetadataRequests)

	without := newAPI(t, Options{NoMetadata: true})
	require.Equal(t, http.StatusNotFound, without.do(http.MethodGet, path, bearer, "").status)
	// Nor are there credentials for those that have them as variables.
	require.Equal(t, http.StatusNotFound, without.do(http.MethodGet, credentialsPath, nil, "").status)
}

// Both processes are told where it is.
func TestMetadataEnvironment(t *testing.T) {
	for name, without := range map[string]bool{"on": false, "off": true} {
		t.Run(name, func(t *testing.T) {
			timeline := &recorder{}
			e := newEnvironment(t, Options{
				LayerDir: newLayer(t, "environment"), Handler: "environment", OnEvent: timeline.observe, NoMetadata: without,
			})
			require.NoError(t, e.Init(testContext(t)))
			for _, stream := range []string{"extension", "function"} {
				env := environmentOf(t, timeline, telemetryapi.EventType(stream))
				if without {
					require.NotContains(t, env, "AWS_LAMBDA_METADATA_API")
					require.NotContains(t, env, "AWS_LAMBDA_METADATA_TOKEN")
					continue
				}
				status, body := get(t, "http://"+env["AWS_LAMBDA_METADATA_API"]+metadataPath,
					"Bearer "+env["AWS_LAMBDA_METADATA_TOKEN"])
				require.Equal(t, http.StatusOK, status)
				require.JSONEq(t, `{"AvailabilityZoneID":"use1-az1"}`, body)
			}
		})
	}
}
