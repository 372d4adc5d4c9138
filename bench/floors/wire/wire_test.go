// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Sent"))
		if len(body) == 0 {
			body = []byte(strings.Repeat("x", 4096))
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	conn, err := Dial(server.Listener.Addr().String())
	require.NoError(t, err)
	for range 2 { // over one connection
		head, body, err := conn.Exchange("POST /path", "X-Sent: value\r\n", "some text")
		require.NoError(t, err)
		require.Equal(t, "POST /path value", Header(head, "X-Seen"))
		require.Equal(t, "some text", body)
		require.Empty(t, Header(head, "X-Absent"))
	}
	_, _, err = conn.Exchange("GET /", "", "")
	require.ErrorIs(t, err, errAnswer)
	require.NoError(t, conn.Close())
	_, _, err = conn.Exchange("GET /", "", "")
	require.Error(t, err)
}

func TestServerThatHangsUp(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	conn, err := Dial(server.Listener.Addr().String())
	require.NoError(t, err)
	_, _, err = conn.Exchange("GET /", "", "")
	require.ErrorIs(t, err, errEnded)
}

func TestDialNowhere(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1", "localhost:80", "127.0.0.1:99999", "127.0.1:80", "127.0.0.256:80"} {
		_, err := Dial(address)
		require.ErrorIs(t, err, errAddress, address)
	}
}
