// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzHTTPBody sends anything as a body. It is answered 200 and recorded, or 400 and not recorded.
func FuzzHTTPBody(f *testing.F) {
	for signal, request := range map[byte]codec{
		0: tracesRequest(someTraces(1, 2)), 1: metricsRequest(someMetrics(2)), 2: logsRequest(someLogs(2)),
	} {
		for media, content := range map[byte]func() ([]byte, error){0: request.MarshalProto, 1: request.MarshalJSON} {
			b, err := content()
			if err != nil {
				f.Fatal(err)
			}
			for encoding := range byte(4) {
				f.Add(signal, media, encoding, b)
			}
		}
	}
	f.Add(byte(1), byte(1), byte(0), []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m"}]}]}]}`))
	f.Add(byte(2), byte(1), byte(1), []byte("\x1f\x8b\x08"))

	f.Fuzz(func(t *testing.T, signal, media, encoding byte, content []byte) {
		s := New(Options{MaxBodyBytes: 1 << 20})
		s.faults = newFaultSet(nil, time.Now())
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost,
			"/v1/"+string(signals()[signal%3]), bytes.NewReader(content))
		r.Header.Set("Content-Type", []string{contentProto, contentJSON}[media%2])
		r.Header.Set("Content-Encoding", []string{"", "gzip", "zstd", "deflate"}[encoding%4])
		w := httptest.NewRecorder()
		s.serveHTTP(w, r)

		reqs := s.Requests()
		require.Len(t, reqs, 1)
		c := s.Counts()
		items := c.Spans + c.Points + c.LogRecords
		switch w.Code {
		case http.StatusOK:
			require.Equal(t, OutcomeAccepted, reqs[0].Outcome)
			require.Equal(t, reqs[0].Items, items)
			var out bytes.Buffer
			require.NoError(t, s.PrintTraces(&out))
			require.NoError(t, s.PrintMetrics(&out))
			require.NoError(t, s.PrintLogs(&out))
		case http.StatusBadRequest:
			require.Equal(t, OutcomeInvalid, reqs[0].Outcome)
			require.Zero(t, items)
		case http.StatusRequestEntityTooLarge: // a compressed body that grows beyond the limit
			require.Zero(t, items)
		default:
			t.Fatalf("answered %d", w.Code)
		}
	})
}
