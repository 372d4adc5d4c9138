// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTripper(t *testing.T) {
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		bodies <- string(body)
	}))
	defer server.Close()
	defaults, ok := http.DefaultTransport.(*http.Transport)
	require.True(t, ok)

	for name, base := range map[string]http.RoundTripper{
		"an exporter's": defaults.Clone(),
		// There is nothing to change about it.
		"one that dials by itself": &http.Transport{},
		"one of another type":      struct{ http.RoundTripper }{&http.Transport{}},
	} {
		t.Run(name, func(t *testing.T) {
			wrap, err := (*lambdaExtension)(nil).GetHTTPRoundTripper(t.Context())
			require.NoError(t, err)
			transport, err := wrap(t.Context(), base)
			require.NoError(t, err)
			var used net.Conn
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) { used = info.Conn },
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader("hello"))
			require.NoError(t, err)
			resp, err := transport.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, "hello", <-bodies)
			_, packageNet := used.(*net.TCPConn)
			require.Equal(t, name != "an exporter's", packageNet, "%T", used)
		})
	}
}
