// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// testTimeout bounds what a test waits for. Race-instrumented programs on a busy machine start slowly.
const testTimeout = 60 * time.Second

// newLayer makes a layer of links to the test binary.
func newLayer(t *testing.T, extensions ...string) string {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	layer := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(layer, "extensions"), 0o755))
	for _, name := range extensions {
		require.NoError(t, os.Symlink(program, filepath.Join(layer, "extensions", name)))
	}
	return layer
}

// newEnvironment makes an environment of the test function, with time to spare.
func newEnvironment(t *testing.T, opts Options) *Environment {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	if opts.Function == nil {
		opts.Function = []string{program}
	}
	if opts.Timeout == 0 {
		opts.Timeout = 20 * time.Second
	}
	if opts.InitTimeout == 0 {
		opts.InitTimeout = 30 * time.Second
	}
	if opts.ShutdownTimeout == 0 {
		opts.ShutdownTimeout = 10 * time.Second
	}
	if opts.Output == nil {
		opts.Output = &logWriter{t: t}
	}
	// A race-instrumented program sleeps for a second before it ends.
	opts.Env = maps.Clone(opts.Env)
	if opts.Env == nil {
		opts.Env = map[string]string{}
	}
	opts.Env["GORACE"] = "atexit_sleep_ms=0"
	e, err := New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// logWriter shows the output of the programs in the test's log.
type logWriter struct{ t *testing.T }

func (w *logWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func payload(t *testing.T, w work) []byte {
	t.Helper()
	body, err := json.Marshal(w)
	require.NoError(t, err)
	return body
}

// newCanceled is a context that has ended.
func newCanceled() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// invoke runs one invocation and waits until the environment has settled.
func invoke(t *testing.T, e *Environment, w work) Invocation {
	t.Helper()
	ctx := testContext(t)
	inv, err := e.Invoke(ctx, payload(t, w))
	require.NoError(t, err)
	require.NoError(t, e.Settle(ctx))
	return e.Report().Invocations[inv.Number-1]
}

func kinds(report Report) []ViolationKind {
	list := []ViolationKind{}
	for _, v := range report.Violations {
		list = append(list, v.Kind)
	}
	return list
}

func newTestServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// backend counts the lines that extensions forward.
type backend struct {
	url string

	mu      sync.Mutex
	arrived map[string]int
	last    map[string]time.Time
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{arrived: map[string]int{}, last: map[string]time.Time{}}
	server := newTestServer(t, func(_ http.ResponseWriter, r *http.Request) {
		var lines []string
		if err := json.NewDecoder(r.Body).Decode(&lines); err != nil {
			t.Errorf("backend: %s", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, line := range lines {
			b.arrived[line]++
			b.last[line] = time.Now()
		}
	})
	b.url = server.URL
	return b
}

func (b *backend) account(sent ...string) Ledger {
	counts := map[string]int{}
	for _, line := range sent {
		counts[line]++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Account(counts, b.arrived)
}

// recorder keeps the timeline.
type recorder struct {
	mu      sync.Mutex
	records []Record
}

func (r *recorder) observe(record Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, record)
}

func (r *recorder) types() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []string{}
	for _, record := range r.records {
		list = append(list, string(record.Type))
	}
	return list
}

// lines are what a stream wrote.
func (r *recorder) lines(t *testing.T, stream telemetryapi.EventType) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []string{}
	for _, record := range r.records {
		var text string
		if record.Type == stream && json.Unmarshal(record.Record, &text) == nil {
			list = append(list, text)
		}
	}
	return list
}

// record returns the payloads of all events of a type.
func (r *recorder) of(t *testing.T, eventType string) []map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []map[string]any{}
	for _, record := range r.records {
		if string(record.Type) != eventType {
			continue
		}
		var decoded map[string]any
		require.NoError(t, json.Unmarshal(record.Record, &decoded))
		list = append(list, decoded)
	}
	return list
}

// platform are the platform's events, and those of freezing.
func (r *recorder) platform() []string {
	return slices.DeleteFunc(r.types(), func(s string) bool {
		return s == "platform.telemetrySubscription" || s == "platform.extension" || s == "sim.exit" ||
			(!strings.HasPrefix(s, "platform.") && !strings.HasPrefix(s, "sim."))
	})
}

// environmentOf reads what a program of the kind "environment" wrote.
func environmentOf(t *testing.T, r *recorder, stream telemetryapi.EventType) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range r.lines(t, stream) {
		key, value, _ := strings.Cut(line, "=")
		found[key] = value
	}
	return found
}
