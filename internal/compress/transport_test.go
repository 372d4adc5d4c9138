// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package compress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// taker is a backend that keeps what it was sent.
type taker struct {
	request *http.Request
	body    []byte
}

func (b *taker) RoundTrip(r *http.Request) (*http.Response, error) {
	b.request = r
	if r.Body != nil {
		var err error
		if b.body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// plain is the body as its sender meant it.
func (b *taker) plain(t *testing.T) []byte {
	t.Helper()
	if b.request.Header.Get("Content-Encoding") == "" {
		return b.body
	}
	return unpack(t, b.body)
}

func send(t *testing.T, body io.Reader, header ...string) (*taker, *http.Request, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://backend/v1/traces", body)
	require.NoError(t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	b := &taker{}
	response, err := (&Transport{Base: b}).RoundTrip(r)
	if err == nil {
		_ = response.Body.Close()
	}
	return b, r, err
}

func TestBodies(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("telemetry repeats itself. ", 4000)
	noise := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, test := range map[string]struct {
		body   string
		header []string
		packed bool
	}{
		"empty":           {"", nil, false},
		"tiny":            {text[:minBytes-1], nil, false},
		"just worth it":   {text[:minBytes], nil, true},
		"large":           {text, nil, true},
		"noise":           {string(noise), nil, true},
		"encoded already": {text, []string{"Content-Encoding", "zstd"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, original, err := send(t, strings.NewReader(test.body), append(test.header, "Content-Type", "application/x-protobuf")...)
			require.NoError(t, err)
			require.Equal(t, "application/x-protobuf", b.request.Header.Get("Content-Type"))
			if !test.packed {
				require.Same(t, original, b.request)
				require.Equal(t, test.body, string(b.body))
				return
			}
			require.Equal(t, test.body, string(b.plain(t)))
			require.Equal(t, "gzip", b.request.Header.Get("Content-Encoding"))
			require.EqualValues(t, len(b.body), b.request.ContentLength)
			require.Empty(t, original.Header.Get("Content-Encoding"), "the request is its sender's")
			again, err := b.request.GetBody()
			require.NoError(t, err)
			repeated, err := io.ReadAll(again)
			require.NoError(t, err)
			require.Equal(t, b.body, repeated, "net/http sends it again on another connection")
		})
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("telemetry repeats itself. ", 4000)
	for host, packed := range map[string]bool{
		"127.0.0.1":             false,
		"127.1.2.3":             false,
		"[::1]":                 false,
		"[::ffff:127.0.0.1]":    false,
		"[::1%25lo]":            false,
		"localhost":             false,
		"LOCALHOST.":            false,
		"api.localhost":         false,
		"user@localhost":        false,
		"localhost.example.com": true,
		"localhost@example.com": true,
		"10.0.0.1":              true,
		"0.0.0.0":               true,
		"[2001:db8::1]":         true,
	} {
		for _, port := range []string{"", ":4318"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+host+port+"/v1/traces", strings.NewReader(text))
			require.NoError(t, err)
			b := &taker{}
			response, err := (&Transport{Base: b}).RoundTrip(r)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, text, string(b.plain(t)))
			require.Equal(t, packed, b.request.Header.Get("Content-Encoding") == "gzip", host+port)
			if !packed {
				require.Same(t, r, b.request)
			}
		}
	}
}

func TestUnknownLength(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 10*minBytes)
	b, _, err := send(t, io.LimitReader(strings.NewReader(text), int64(len(text))))
	require.NoError(t, err)
	require.Equal(t, text, string(b.body))
}

func TestBodyThatBreaks(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://backend/", iotest.ErrReader(broken))
	require.NoError(t, err)
	r.ContentLength = 2 * minBytes
	_, err = (&Transport{Base: &taker{}}).RoundTrip(r) //nolint:bodyclose // there is none
	require.ErrorIs(t, err, broken)
}

func TestWrongLength(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 3*chunkBytes)
	for length, want := range map[int]error{
		len(body) + 1: io.ErrUnexpectedEOF, len(body) - 1: errTooLong, minBytes: errTooLong,
	} {
		for _, r := range []io.Reader{strings.NewReader(body), iotest.HalfReader(strings.NewReader(body))} {
			_, err := new(Transport).pack(io.NopCloser(r), length)
			require.ErrorIs(t, err, want)
		}
	}
}

// What a body is read in does not matter, and nothing is copied that is in memory.
func TestPackInPieces(t *testing.T) {
	t.Parallel()
	body := []byte(strings.Repeat("telemetry repeats itself. ", 10_000))
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(body), "in pieces": iotest.HalfReader(bytes.NewReader(body)),
	} {
		packed, err := new(Transport).pack(io.NopCloser(r), len(body))
		require.NoError(t, err, name)
		require.Less(t, len(packed), len(body)/50, name)
		require.Equal(t, body, unpack(t, packed), name)
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte(strings.Repeat("seed", minBytes)))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		packed, err := new(Transport).pack(io.NopCloser(bytes.NewReader(body)), len(body))
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, unpack(t, packed)))
	})
}

func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	return plain
}
