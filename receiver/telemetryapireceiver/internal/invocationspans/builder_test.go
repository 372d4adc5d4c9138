// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/ptracetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

const ownScope = "example.com/own"

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// counter is a source of ids that says how many were made.
type counter struct{ n uint32 }

func (c *counter) Read(id []byte) (int, error) {
	c.n++
	clear(id)
	binary.BigEndian.PutUint32(id[len(id)-4:], c.n)
	id[0] = 0xee
	return len(id), nil
}

// environment is a Builder with the real registry of the function's spans.
type environment struct {
	*Builder
	lifecycle lambdaextension.Lifecycle
	random    *counter
	clock     time.Time
}

func newEnvironment(tb testing.TB, set Settings) *environment {
	tb.Helper()
	factory := lambdaextension.NewFactory()
	made, err := factory.Create(tb.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(tb, err)
	e := &environment{
		lifecycle: made.(lambdaextension.Lifecycle), random: &counter{},
		clock: time.Date(2026, time.October, 8, 7, 45, 0, 0, time.UTC),
	}
	e.lifecycle.FunctionSpans().Use(ownScope)
	set.Function, set.Random, set.Now = e.lifecycle.FunctionSpans(), e.random, func() time.Time { return e.clock }
	if set.FunctionName == "" {
		set.FunctionName = "checkout"
	}
	e.Builder = New(set)
	return e
}

// take returns what is complete, after it has passed through the collector.
func (e *environment) take() ptrace.Traces {
	td := ptrace.NewTraces()
	ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	ss.Scope().SetName(ownScope)
	e.Take(ss.Spans())
	e.lifecycle.ObserveTraces(td)
	return td
}

// sent is a span that the function's SDK sends.
type sent struct {
	TraceID      string `json:"trace_id"`
	SpanID       string `json:"span_id"`
	ParentSpanID string `json:"parent_span_id"`
	Name         string `json:"name"`
	Kind         string `json:"kind"`
	Invocation   string `json:"faas.invocation_id"`
	Execution    string `json:"faas.execution"`
}

func (e *environment) send(tb testing.TB, spans ...sent) {
	tb.Helper()
	td := ptrace.NewTraces()
	slice := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	id := func(dst []byte, text string) {
		if text != "" {
			_, err := hex.Decode(dst, []byte(text))
			require.NoError(tb, err)
		}
	}
	for _, s := range spans {
		var ref SpanRef
		parent := ref.SpanID
		id(ref.TraceID[:], s.TraceID)
		id(ref.SpanID[:], s.SpanID)
		id(parent[:], s.ParentSpanID)
		span := slice.AppendEmpty()
		span.SetTraceID(ref.TraceID)
		span.SetSpanID(ref.SpanID)
		span.SetParentSpanID(parent)
		span.SetName(s.Name)
		span.SetKind(map[string]ptrace.SpanKind{
			"SERVER": ptrace.SpanKindServer, "CLIENT": ptrace.SpanKindClient, "INTERNAL": ptrace.SpanKindInternal,
		}[s.Kind])
		putText(span.Attributes(), "faas.invocation_id", s.Invocation)
		putText(span.Attributes(), "faas.execution", s.Execution)
	}
	e.lifecycle.ObserveTraces(td)
}

// goldenCase is a folder of testdata.
type goldenCase struct {
	dir    string
	events []telemetryapi.Event
	sends  []struct {
		AfterEvents int    `json:"after_events"`
		Spans       []sent `json:"spans"`
	}
	settings struct {
		XRayContext XRayContext `json:"xray_context"`
		Invocation  Invocation  `json:"invocation"`
		Concurrent  bool        `json:"concurrent"`
	}
}

func readCase(tb testing.TB, dir string) (c goldenCase) {
	tb.Helper()
	c.dir = dir
	body, err := os.ReadFile(filepath.Join(dir, "events.json"))
	require.NoError(tb, err)
	batch, err := telemetryapi.Decode(body)
	require.NoError(tb, err)
	require.Zero(tb, batch.Malformed)
	c.events = batch.Events
	for file, into := range map[string]any{"spans.json": &c.sends, "settings.json": &c.settings} {
		body, err := os.ReadFile(filepath.Join(dir, file))
		if !os.IsNotExist(err) {
			require.NoError(tb, err)
			require.NoError(tb, json.Unmarshal(body, into))
		}
	}
	return c
}

func readCases(tb testing.TB) (cases []goldenCase) {
	tb.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", "*", "events.json"))
	require.NoError(tb, err)
	require.NotEmpty(tb, dirs)
	for _, path := range dirs {
		cases = append(cases, readCase(tb, filepath.Dir(path)))
	}
	return cases
}

func (c *goldenCase) environment(tb testing.TB) *environment {
	tb.Helper()
	return newEnvironment(tb, Settings{
		XRayContext: c.settings.XRayContext, Invocation: c.settings.Invocation, Concurrent: c.settings.Concurrent,
	})
}

// contexts writes down what Context says as it changes.
type contexts struct {
	text strings.Builder
	last map[string]string
}

func (c *contexts) note(e *environment, after string) {
	if c.last == nil {
		c.last = make(map[string]string)
	}
	ids := slices.Sorted(maps.Keys(e.invocations))
	for _, id := range ids {
		ref, state := e.Context(id)
		now := []string{"none", "known", "wait"}[state]
		if state == Known {
			now += fmt.Sprintf(" %s %s", ref.TraceID, ref.SpanID)
		}
		if c.last[id] != now {
			c.last[id] = now
			fmt.Fprintf(&c.text, "%s: %s %s\n", after, id, now)
		}
	}
}

// TestGolden shows what becomes of events. In contexts.txt is what log lines are told, after each event that changes it.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range readCases(t) {
		t.Run(filepath.Base(c.dir), func(t *testing.T) {
			t.Parallel()
			e := c.environment(t)
			all := ptrace.NewTraces()
			spans := all.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
			var told contexts
			take := func(after string) {
				told.note(e, after)
				td := e.take()
				td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().MoveAndAppendTo(spans)
			}
			for i, event := range c.events {
				for _, s := range c.sends {
					if s.AfterEvents == i {
						e.send(t, s.Spans...)
						told.note(e, "the function's spans")
					}
				}
				e.Observe(event)
				take(fmt.Sprintf("%d %s", i+1, event.Type))
			}
			e.Flush()
			take("flush")
			fmt.Fprintf(&told.text, "%+v\n", e.Stats())
			requireGolden(t, c.dir, all, told.text.String())
		})
	}
}

func requireGolden(t *testing.T, dir string, got ptrace.Traces, contexts string) {
	t.Helper()
	traces, texts := filepath.Join(dir, "traces.yaml"), filepath.Join(dir, "contexts.txt")
	if *update {
		require.NoError(t, golden.WriteTracesToFile(traces, got))
		require.NoError(t, os.WriteFile(texts, []byte(contexts), 0o600))
		return
	}
	want, err := golden.ReadTraces(traces)
	require.NoError(t, err)
	require.NoError(t, ptracetest.CompareTraces(want, got))
	text, err := os.ReadFile(texts)
	require.NoError(t, err)
	require.Equal(t, string(text), contexts)
}
