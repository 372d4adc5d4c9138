// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a session with an API that gives the answers in turn.
func answering(t *testing.T, answers ...func(http.ResponseWriter)) (s *Session, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/register") {
			w.Header().Set(headerIdentifier, "id")
			return
		}
		answers[min(int(asked.Add(1)), len(answers))-1](w)
	}))
	t.Cleanup(server.Close)
	s, err := NewClient(strings.TrimPrefix(server.URL, "http://")).Register(t.Context(), "x", nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s, asked
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func event(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = w.Write([]byte(body)) }
}

func TestAwaitTriesAgain(t *testing.T) {
	s, asked := answering(t, status(http.StatusForbidden), event("not JSON"), event(`{"eventType":"INVOKE"}`))
	e, err := s.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, EventInvoke, e.Type)
	require.EqualValues(t, 3, asked.Load())
}

func TestAwaitEndsWithAContainerError(t *testing.T) {
	s, asked := answering(t, status(http.StatusInternalServerError))
	_, err := s.Await(t.Context())
	var apiErr *Error
	require.ErrorAs(t, err, &apiErr)
	require.EqualValues(t, 1, asked.Load())
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, _ := answering(t, func(w http.ResponseWriter) {
		cancel()
		w.WriteHeader(http.StatusForbidden)
	})
	_, err := s.Await(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestHopeless(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		limit int // failures in a row
	}{
		"container error": {&Error{Status: http.StatusInternalServerError}, 1},
		"closed":          {errSessionClosed, 1},
		"refused":         {&Error{Status: http.StatusForbidden}, maxNextFailures},
		"unreachable":     {errors.New("connection refused"), maxNextFailures},
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, test.limit > 1 && hopeless(test.err, test.limit-1))
			require.True(t, hopeless(test.err, test.limit))
		})
	}
}

func TestEventWithOddFields(t *testing.T) {
	for body, want := range map[string]Event{
		`{"eventType":"SHUTDOWN","deadlineMs":1775516174092.5,"shutdownReason":"spindown"}`: {
			Type: EventShutdown, DeadlineMs: 1775516174092, ShutdownReason: "spindown",
		},
		`{"eventType":"SHUTDOWN","deadlineMs":"soon"}`:              {Type: EventShutdown},
		`{"eventType":"INVOKE","requestId":7,"deadlineMs":12}`:      {Type: EventInvoke, DeadlineMs: 12},
		`{"eventType":"INVOKE","tracing":"Root=1","requestId":"r"}`: {Type: EventInvoke, RequestID: "r"},
		`{"eventType":"INVOKE","tracing":null,"deadlineMs":null}`:   {Type: EventInvoke},
		`{"eventType":"INVOKE","deadlineMs":1e99}`:                  {Type: EventInvoke},
		// As encoding/json has it, on which emulators may rely.
		`{"EventType":"INVOKE","deadlinems":12,"extra":{"a":[]}}`: {Type: EventInvoke, DeadlineMs: 12},
		`{"eventType":"\u0049NVOKE","requestId":"a\"b"}`:          {Type: EventInvoke, RequestID: `a"b`},
		`{}`:                 {},
		`{"eventType":null}`: {},
	} {
		got, err := decodeEvent([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got, body)
	}
	for _, body := range []string{``, `not JSON`, `[]`, `{"eventType":7}`, `{"eventType":"INVOKE"`, `{"eventType":"INVOKE"}}`} {
		_, err := decodeEvent([]byte(body))
		require.Error(t, err, body)
	}
}
