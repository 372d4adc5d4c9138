// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
			name: "redirect is not followed", status: http.StatusFound,
			check: func(t *testing.T, err error) { require.Equal(t, 302, requireSubscribeError(t, err).Status) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *http.Request
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				body, _ = io.ReadAll(r.Body)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer server.Close()
			// A customer's proxy for the function is none of the API's business.
			t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")

			client := NewClient(strings.TrimPrefix(server.URL, "http://"), nil)
			subscription := NewSubscription("http://sandbox.localdomain:4243/", []Stream{StreamPlatform, StreamFunction})
			tt.check(t, client.Subscribe(t.Context(), "the-id", subscription))

			require.Equal(t, http.MethodPut, got.Method)
			require.Equal(t, "/2022-07-01/telemetry", got.URL.Path)
			require.Equal(t, "the-id", got.Header.Get("Lambda-Extension-Identifier"))
			require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			require.JSONEq(t, `{"schemaVersion":"2025-01-29","types":["platform","function"],
				"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},
				"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/"}}`, string(body))
		})
	}
}

func TestClientUsesNoProxy(t *testing.T) {
	transport, ok := NewClient("169.254.100.1:9001", nil).http.Transport.(*http.Transport)
	require.True(t, ok)
	require.Nil(t, transport.Proxy)
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	err := NewClient(strings.TrimPrefix(server.URL, "http://"), nil).Subscribe(ctx, "id", Subscription{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestSubscribeNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	err := NewClient(address, nil).Subscribe(t.Context(), "id", Subscription{})
	require.ErrorContains(t, err, "subscribe to telemetry")
	require.ErrorContains(t, NewClient("not a host", nil).Subscribe(t.Context(), "id", Subscription{}), "subscribe to telemetry")
}

func requireSubscribeError(t *testing.T, err error) *SubscribeError {
	t.Helper()
	var refused *SubscribeError
	require.ErrorAs(t, err, &refused)
	return refused
}

// TestSubscribeOverAConnectionThatIsClosed has a server that closes a kept connection when it is used again.
func TestSubscribeOverAConnectionThatIsClosed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	connections := make(chan struct{}, 10)
	go func() {
		for first := true; ; first = false {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections <- struct{}{}
			go answerOnce(conn, first)
		}
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	address := listener.Addr().String()
	response, err := (&http.Client{Transport: transport}).Post("http://"+address+"/register", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, NewClient(address, transport).Subscribe(t.Context(), "id", Subscription{}))
	require.Len(t, connections, 2)
}

// answerOnce answers one request, and closes the connection with the first byte of another one, or with the client.
func answerOnce(conn net.Conn, keep bool) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, request.Body)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"); err == nil && keep {
		_, _ = reader.ReadByte()
	}
}
