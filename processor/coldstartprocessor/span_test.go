// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package coldstartprocessor

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// layerScope is what the OpenTelemetry Lambda layer's receiver calls itself.
const layerScope = "github.com/open-telemetry/opentelemetry-lambda/collector/receiver/telemetryapi"

// t0 is when the environment of all tests begins.
var t0 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// spanSpec describes a span. Times are after t0.
type spanSpec struct {
	name       string
	scope      string
	kind       ptrace.SpanKind
	trace      byte
	id         byte
	parent     byte
	start, end time.Duration
	attributes map[string]any
}

func (s spanSpec) put(tb testing.TB, span ptrace.Span) {
	tb.Helper()
	span.SetName(s.name)
	span.SetKind(s.kind)
	span.SetTraceID(pcommon.TraceID{s.trace})
	span.SetSpanID(pcommon.SpanID{s.id})
	span.SetParentSpanID(pcommon.SpanID{s.parent})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(t0.Add(s.start)))
	span.SetEndTimestamp(pcommon.NewTimestampFromTime(t0.Add(s.end)))
	for _, key := range slices.Sorted(maps.Keys(s.attributes)) { // in one order, so that spans can be compared
		require.NoError(tb, span.Attributes().PutEmpty(key).FromRaw(s.attributes[key]))
	}
}

// batch is a request with a resource and a scope for each span.
func batch(tb testing.TB, specs ...spanSpec) ptrace.Traces {
	tb.Helper()
	td := ptrace.NewTraces()
	for _, s := range specs {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("resource.of", s.name)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(s.scope)
		s.put(tb, ss.Spans().AppendEmpty())
	}
	return td
}

// layerInit is the span that the OpenTelemetry Lambda layer's receiver makes of an Init of 400 ms.
func layerInit() spanSpec {
	return spanSpec{
		name: "init shop", scope: layerScope, kind: ptrace.SpanKindInternal, trace: 1, id: 1, end: 400 * time.Millisecond,
		attributes: map[string]any{attrColdstart: true},
	}
}

// nodeRoot is the span of the first invocation, as Node's instrumentation makes it.
func nodeRoot() spanSpec {
	return spanSpec{
		name: "shop", scope: "@opentelemetry/instrumentation-aws-lambda", kind: ptrace.SpanKindServer, trace: 2, id: 2,
		start: 410 * time.Millisecond, end: 500 * time.Millisecond,
		attributes: map[string]any{attrInvocationID: "r1", attrColdstart: true},
	}
}

// with returns a changed copy.
func (s spanSpec) with(change func(*spanSpec)) spanSpec {
	attributes := map[string]any{}
	maps.Copy(attributes, s.attributes)
	s.attributes = attributes
	change(&s)
	return s
}

func TestIsInit(t *testing.T) {
	t.Parallel()
	const ours = "github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver"
	warm := map[string]any{attrColdstart: false}
	text := map[string]any{attrColdstart: "true"}
	for name, tc := range map[string]struct {
		span spanSpec
		want bool
	}{
		"the layer's":             {layerInit(), true},
		"a cold start elsewhere":  {layerInit().with(func(s *spanSpec) { s.scope, s.name = "x", "boot" }), true},
		"ours":                    {spanSpec{name: "init", scope: ours}, true},
		"by name":                 {spanSpec{name: "init shop", scope: layerScope}, true},
		"another name":            {spanSpec{name: "initialize", scope: ours}, false},
		"a restore":               {spanSpec{name: "restore", scope: ours}, false},
		"another scope":           {spanSpec{name: "init", scope: "shop/telemetry"}, false},
		"no scope":                {spanSpec{name: "init"}, false},
		"not a cold start":        {spanSpec{name: "init", scope: ours, attributes: warm}, false},
		"no boolean":              {spanSpec{name: "boot", attributes: text}, false},
		"no boolean, but by name": {spanSpec{name: "init", scope: ours, attributes: text}, true},
		"in a trace already":      {layerInit().with(func(s *spanSpec) { s.parent = 9 }), false},
		"SERVER":                  {layerInit().with(func(s *spanSpec) { s.kind = ptrace.SpanKindServer }), false},
		"Node's invocation":       {nodeRoot(), false},
		"of an invocation":        {layerInit().with(func(s *spanSpec) { s.attributes[attrInvocationID] = "r1" }), false},
		"of an old one":           {layerInit().with(func(s *spanSpec) { s.attributes[attrExecution] = "r1" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			td := batch(t, tc.span)
			_, got := findInit(td)
			require.Equal(t, tc.want, got)
			held := cutInit(td)
			if tc.want {
				require.Zero(t, td.ResourceSpans().Len())
				require.Equal(t, batch(t, tc.span), held)
			} else {
				require.Zero(t, held.ResourceSpans().Len())
				require.Equal(t, batch(t, tc.span), td)
			}
		})
	}
}

// TestScopes holds the recognised scopes against what the receiver calls itself.
func TestScopes(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.FromSlash("../../receiver/telemetryapireceiver/internal/metadata/metadata.go"))
	require.NoError(t, err)
	scope := regexp.MustCompile(`ScopeName\s*=\s*"([^"]+)"`).FindSubmatch(source)
	require.Len(t, scope, 2)
	require.True(t, strings.HasSuffix(string(scope[1]), scopeOurs), "%s", scope[1])
	require.True(t, strings.HasSuffix(layerScope, scopeLayer))
}

func TestFindInvocation(t *testing.T) {
	t.Parallel()
	root := nodeRoot()
	framework := spanSpec{name: "GET /", kind: ptrace.SpanKindServer, trace: 2, id: 3, parent: 2, start: 0}
	second := root.with(func(s *spanSpec) { s.trace, s.id, s.start = 4, 4, time.Second })
	old := spanSpec{name: "shop", trace: 5, id: 5, attributes: map[string]any{attrExecution: "r1"}}
	queue := root.with(func(s *spanSpec) { s.kind, s.trace, s.id = ptrace.SpanKindConsumer, 6, 6 })
	for name, tc := range map[string]struct {
		batch []spanSpec
		want  byte // the span's id, 0 for none
	}{
		"nothing":                    {nil, 0},
		"a child":                    {[]spanSpec{{name: "s3", kind: ptrace.SpanKindClient, id: 7, parent: 2}}, 0},
		"init":                       {[]spanSpec{layerInit()}, 0},
		"SERVER with request id":     {[]spanSpec{layerInit(), root}, 2},
		"old name of the request id": {[]spanSpec{old}, 5},
		"CONSUMER":                   {[]spanSpec{queue}, 6},
		"SERVER alone":               {[]spanSpec{framework}, 3},
		"a web framework below, which ends first": {[]spanSpec{framework, root}, 2},
		"a web framework below, named later":      {[]spanSpec{root, framework}, 2},
		"two invocations":                         {[]spanSpec{root, second}, 2},
		"two invocations, the other way round":    {[]spanSpec{second, root}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := findInvocation(batch(t, tc.batch...))
			require.Equal(t, tc.want != 0, ok)
			require.Equal(t, pcommon.SpanID{tc.want}, got.span)
		})
	}
}

func TestWaitedFor(t *testing.T) {
	t.Parallel()
	const ms, s = time.Millisecond, time.Second
	for name, tc := range map[string]struct {
		initStart, initEnd, start, end time.Duration
		cold                           any
		want                           bool
	}{
		"at once":                              {0, 400 * ms, 410 * ms, 500 * ms, true, true},
		"without a word about cold starts":     {0, 400 * ms, 410 * ms, 500 * ms, nil, true},
		"with a word that is not one":          {0, 400 * ms, 410 * ms, 500 * ms, "false", true},
		"warm, so the first was not sampled":   {0, 400 * ms, 700 * ms, 800 * ms, false, false},
		"clocks that differ a little":          {0, 400 * ms, 399 * ms, 500 * ms, true, true},
		"an Init within the invocation":        {10 * ms, 400 * ms, 0, 500 * ms, true, true},
		"a minute later":                       {0, 400 * ms, 60*s + 400*ms, 61 * s, true, true},
		"an environment made ready in advance": {0, 400 * ms, 60*s + 401*ms, 61 * s, true, false},
		"a snapshot of last week":              {-7 * 24 * time.Hour, -7*24*time.Hour + s, 0, s, true, false},
		"an Init after the invocation":         {501 * ms, 900 * ms, 410 * ms, 500 * ms, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := nodeRoot().with(func(spec *spanSpec) {
				spec.start, spec.end = tc.start, tc.end
				delete(spec.attributes, attrColdstart)
				if tc.cold != nil {
					spec.attributes[attrColdstart] = tc.cold
				}
			})
			first, ok := findInvocation(batch(t, root))
			require.True(t, ok)
			boot := layerInit().with(func(spec *spanSpec) { spec.start, spec.end = tc.initStart, tc.initEnd })
			span, ok := findInit(batch(t, boot))
			require.True(t, ok)
			before := ptrace.NewSpan()
			span.CopyTo(before)

			require.Equal(t, tc.want, first.waitedFor(span))
			first.adopt(span)
			if tc.want {
				require.Equal(t, pcommon.TraceID{2}, span.TraceID())
				require.Equal(t, pcommon.SpanID{2}, span.ParentSpanID())
				require.Equal(t, before.SpanID(), span.SpanID())
			} else {
				require.Equal(t, before, span)
			}
		})
	}
}

// TestAdoptTakesWhatIsOfTheTrace follows what samplers read.
func TestAdoptTakesWhatIsOfTheTrace(t *testing.T) {
	t.Parallel()
	td := batch(t, nodeRoot())
	root := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	root.TraceState().FromRaw("ot=th:8")
	root.SetFlags(0x303) // sampled, random trace id; the parent is remote
	first, ok := findInvocation(td)
	require.True(t, ok)
	span, ok := findInit(batch(t, layerInit()))
	require.True(t, ok)
	first.adopt(span)
	require.Equal(t, "ot=th:8", span.TraceState().AsRaw())
	require.EqualValues(t, 0x03, span.Flags(), "the init span's parent is not remote")
}
