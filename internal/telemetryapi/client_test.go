// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

func TestSubscribe(t *testing.T) {
	tests := []struct {
		name   string
		status int
		answer string
		check  func(t *testing.T, err error)
	}{
		{
			name: "subscribed", status: http.StatusOK, answer: `"OK"`,
			check: func(t *testing.T, err error) { require.NoError(t, err) },
		},
		{
			name: "not supported", status: http.StatusAccepted,
			answer: `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`,
			check:  func(t *testing.T, err error) { require.ErrorIs(t, err, ErrNotSupported) },
		},
		{
			name: "refused", status: http.StatusForbidden,
			answer: `{"errorType":"Telemetry.SubscriptionClosed","errorMessage":"Telemetry API subscription is closed already"}`,
			check: func(t *testing.T, err error) {
				refused := requireSubscribeError(t, err)
				require.Equal(t, &SubscribeError{
					Status: 403, ErrorType: "Telemetry.SubscriptionClosed", Message: "Telemetry API subscription is closed already",
				}, refused)
				require.EqualError(t, err, "Lambda refused the telemetry subscription with status 403 "+
					"Telemetry.SubscriptionClosed: Telemetry API subscription is closed already")
			},
		},
		{
			name: "broken", status: http.StatusInternalServerError, answer: strings.Repeat("oops\xff", 100_000),
			check: func(t *testing.T, err error) {
				refused := requireSubscribeError(t, err)
				require.Equal(t, 500, refused.Status)
				require.True(t, strings.HasPrefix(refused.Message, "oops\uFFFDoops"))
				require.Less(t, len(refused.Message), 500)
			},
		},
		{
			name: "redirected", status: http.StatusFound,
			check: func(t *testing.T, err error) { require.Equal(t, 302, requireSubscribeError(t, err).Status) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *http1.Request
			answer := func(_ context.Context, req *http1.Request) (*http1.Response, error) {
				got = req
				return &http1.Response{Status: tt.status, Body: []byte(tt.answer)}, nil
			}
			subscription := NewSubscription("http://sandbox.localdomain:4243/", []Stream{StreamPlatform, StreamFunction})
			tt.check(t, Subscribe(t.Context(), answer, "the-id", subscription))

			require.Equal(t, http.MethodPut, got.Method)
			require.Equal(t, "/2022-07-01/telemetry", got.Target)
			require.Equal(t, "the-id", got.Header.Get("Lambda-Extension-Identifier"))
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			require.True(t, got.Replayable)
			require.JSONEq(t, `{"schemaVersion":"2025-01-29","types":["platform","function"],
				"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},
				"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/"}}`, string(got.Body))
		})
	}
}

func FuzzSubscriptionBody(f *testing.F) {
	f.Add(SchemaVersion, "platform", "function", 1000, 262144, 25, "HTTP", "http://sandbox.localdomain:4243/")
	f.Add("", "\"", "\\", -1, 0, 1, "\n", "http://[::1]:4243/\u2028\xff")
	f.Fuzz(func(t *testing.T, schema, first, second string, items, size, timeout int, protocol, uri string) {
		s := Subscription{
			SchemaVersion: schema, Types: []Stream{Stream(first), Stream(second)},
			Buffering:   Buffering{MaxItems: items, MaxBytes: size, TimeoutMs: timeout},
			Destination: Destination{Protocol: protocol, URI: uri},
		}
		want, err := json.Marshal(s)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(s.body()))
	})
}

func TestSubscriptionBody(t *testing.T) {
	s := NewSubscription("http://sandbox.localdomain:4243/", []Stream{StreamPlatform, StreamFunction})
	want, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, string(want), string(s.body()))
}

func TestSubscribeWithoutAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Subscribe(ctx, func(ctx context.Context, _ *http1.Request) (*http1.Response, error) {
		return nil, ctx.Err()
	}, "id", Subscription{})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "subscribe to telemetry")
}

func requireSubscribeError(t *testing.T, err error) *SubscribeError {
	t.Helper()
	var refused *SubscribeError
	require.ErrorAs(t, err, &refused)
	return refused
}
