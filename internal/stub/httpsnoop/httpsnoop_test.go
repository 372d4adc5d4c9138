// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package httpsnoop

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// bare is a ResponseWriter without any optional interface.
type bare struct{ http.ResponseWriter }

func TestWrap(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	var written, flushed, code int
	w := Wrap(recorder, Hooks{
		Write: func(next WriteFunc) WriteFunc {
			return func(b []byte) (int, error) { written += len(b); return next(b) }
		},
		WriteHeader: func(next WriteHeaderFunc) WriteHeaderFunc {
			return func(c int) { code = c; next(c) }
		},
		Flush: func(next FlushFunc) FlushFunc {
			return func() { flushed++; next() }
		},
		Header: func(next HeaderFunc) HeaderFunc { return next },
	})
	w.Header().Set("A", "b")
	w.WriteHeader(http.StatusTeapot)
	if _, err := w.Write([]byte("four")); err != nil {
		t.Fatal(err)
	}
	w.(http.Flusher).Flush()
	if written != 4 || code != http.StatusTeapot || flushed != 1 || !recorder.Flushed {
		t.Fatalf("written %d, code %d, flushed %d", written, code, flushed)
	}
	if recorder.Code != http.StatusTeapot || recorder.Body.String() != "four" || recorder.Header().Get("A") != "b" {
		t.Fatalf("the ResponseWriter got %+v", recorder)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestWrapAddsNothing(t *testing.T) {
	t.Parallel()
	recorder := httptest.NewRecorder()
	w := Wrap(bare{recorder}, Hooks{})
	if _, ok := w.(http.Flusher); ok {
		t.Fatal("there was no Flusher")
	}
	w.WriteHeader(http.StatusAccepted)
	if recorder.Code != http.StatusAccepted {
		t.Fatalf("code %d", recorder.Code)
	}
}
