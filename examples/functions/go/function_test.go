// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/require"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP receiver that keeps what it gets.
type collector struct {
	mu       sync.Mutex
	resource map[string]string
	spans    []*tracepb.Span
	metrics  []*metricspb.Metric
	logs     []*logspb.LogRecord
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

func (c *collector) serve(w http.ResponseWriter, r *http.Request) {
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = zipped
	}
	content, err := io.ReadAll(body)
	if err == nil {
		err = c.keep(r.URL.Path, content)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *collector) keep(path string, content []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case "/v1/traces":
		var req coltraces.ExportTraceServiceRequest
		if err := proto.Unmarshal(content, &req); err != nil {
			return err
		}
		for _, rs := range req.GetResourceSpans() {
			c.resource = attributes(rs.GetResource().GetAttributes())
			for _, ss := range rs.GetScopeSpans() {
				c.spans = append(c.spans, ss.GetSpans()...)
			}
		}
	case "/v1/metrics":
		var req colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(content, &req); err != nil {
			return err
		}
		for _, rm := range req.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				c.metrics = append(c.metrics, sm.GetMetrics()...)
			}
		}
	default:
		var req collogs.ExportLogsServiceRequest
		if err := proto.Unmarshal(content, &req); err != nil {
			return err
		}
		for _, rl := range req.GetResourceLogs() {
			for _, sl := range rl.GetScopeLogs() {
				c.logs = append(c.logs, sl.GetLogRecords()...)
			}
		}
	}
	return nil
}

func attributes(kvs []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range kvs {
		if s, ok := kv.GetValue().GetValue().(*commonpb.AnyValue_StringValue); ok {
			m[kv.GetKey()] = s.StringValue
		} else {
			m[kv.GetKey()] = kv.GetValue().String()
		}
	}
	return m
}

func (c *collector) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	for _, s := range c.spans {
		if s.GetName() == name {
			return s
		}
	}
	t.Fatalf("no span %q", name)
	return nil
}

// function is the handler in the environment that Lambda would give it.
type function struct {
	t      *testing.T
	invoke func(ctx context.Context, payload []byte) ([]byte, error)
	stdout *bytes.Buffer
}

func newFunction(t *testing.T) *function {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME": "shop-checkout", "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_REGION": "eu-central-1",
		"AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/20/[7]abc", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
	} {
		t.Setenv(name, value)
	}
	f := &function{t: t, stdout: &bytes.Buffer{}}
	tel, err := newTelemetry(t.Context(), newStdoutHandler(f.stdout))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = tel.Shutdown(ctx) // fails where the collector is not there, as in some tests
	})
	h, err := newHandler(tel)
	require.NoError(t, err)
	f.invoke = h.Invoke
	return f
}

func (f *function) run(event string) (receipt, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(lambdacontext.NewContext(f.t.Context(), &lambdacontext.LambdaContext{
		AwsRequestID:       "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		InvokedFunctionArn: "arn:aws:lambda:eu-central-1:123456789012:function:shop-checkout",
	}), 20*time.Second)
	defer cancel()
	out, err := f.invoke(ctx, []byte(event))
	if err != nil {
		return receipt{}, err
	}
	var r receipt
	require.NoError(f.t, json.Unmarshal(out, &r))
	return r, nil
}

// lines returns the log lines on stdout by their message.
func (f *function) lines() map[string]map[string]any {
	f.t.Helper()
	lines := map[string]map[string]any{}
	for line := range strings.Lines(f.stdout.String()) {
		var fields map[string]any
		require.NoError(f.t, json.Unmarshal([]byte(line), &fields), line)
		lines[fields["message"].(string)] = fields
	}
	return lines
}

func TestCheckout(t *testing.T) {
	c := startCollector(t)
	f := newFunction(t)
	r, err := f.run(`{"order_id":"o-1","cents":1999}`)
	require.NoError(t, err)
	require.Equal(t, "o-1", r.OrderID)

	// All of it is there when the handler returns.
	require.Len(t, c.spans, 4)
	root := c.span(t, "shop-checkout")
	require.Equal(t, tracepb.Span_SPAN_KIND_SERVER, root.GetKind())
	require.Empty(t, root.GetParentSpanId())
	require.Equal(t, "8476a536-e9f4-11e8-9739-2dfe598c3fcd", attributes(root.GetAttributes())["faas.invocation_id"])
	require.Equal(t, "o-1", attributes(root.GetAttributes())["order.id"])
	require.Equal(t, r.TraceID, hex.EncodeToString(root.GetTraceId()))
	for _, name := range []string{"validate", "charge", "store"} {
		require.Equal(t, root.GetSpanId(), c.span(t, name).GetParentSpanId(), name)
	}
	require.Equal(t, "shop-checkout", c.resource["service.name"])
	require.Equal(t, "shop-checkout", c.resource["faas.name"])
	require.Equal(t, "2026/11/20/[7]abc", c.resource["faas.instance"])
	require.Equal(t, "int_value:536870912", strings.ReplaceAll(c.resource["faas.max_memory"], " ", ""))

	require.Len(t, c.metrics, 2)
	for _, m := range c.metrics {
		switch m.GetName() {
		case "checkout.orders":
			require.EqualValues(t, 1, m.GetSum().GetDataPoints()[0].GetAsInt())
			require.Equal(t, map[string]string{"outcome": "stored"},
				attributes(m.GetSum().GetDataPoints()[0].GetAttributes()))
		case "checkout.duration":
			require.EqualValues(t, 1, m.GetHistogram().GetDataPoints()[0].GetCount())
			require.Positive(t, m.GetHistogram().GetDataPoints()[0].GetSum())
		default:
			t.Fatalf("metric %q", m.GetName())
		}
	}

	require.Len(t, c.logs, 2)
	lines := f.lines()
	require.Len(t, lines, 2)
	for _, l := range c.logs {
		require.Equal(t, root.GetTraceId(), l.GetTraceId())
		line := lines[l.GetBody().GetStringValue()]
		require.Equal(t, r.TraceID, line["trace_id"])
		require.Equal(t, "8476a536-e9f4-11e8-9739-2dfe598c3fcd", line["requestId"])
		require.Equal(t, "INFO", line["level"])
		require.NotEmpty(t, line["timestamp"])
	}
}

func TestSteering(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_SERVICE_NAME", "checkout")
	f := newFunction(t)
	start := time.Now()
	r, err := f.run(`{"spans":3,"logs":2,"sleep_ms":30,"headers":{"Traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}`)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
	require.Equal(t, "8476a536-e9f4-11e8-9739-2dfe598c3fcd", r.OrderID, "the request id stands in")
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", r.TraceID)
	require.Equal(t, "b7ad6b7169203331", hex.EncodeToString(c.span(t, "shop-checkout").GetParentSpanId()))
	require.Len(t, c.spans, 4+3)
	require.Len(t, c.logs, 2+2)
	require.Equal(t, "checkout", c.resource["service.name"])
}

func TestFailures(t *testing.T) {
	for event, want := range map[string]string{
		`{"error":true}`: "charge order: the card was declined",
		`{"cents":-1}`:   "validate order: the price is negative",
	} {
		t.Run(event, func(t *testing.T) {
			c := startCollector(t)
			f := newFunction(t)
			_, err := f.run(event)
			require.EqualError(t, err, want)
			require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, c.span(t, "shop-checkout").GetStatus().GetCode())
			require.Equal(t, want, f.lines()["order failed"]["error"])
			require.Equal(t, "failed", attributes(c.metrics[0].GetSum().GetDataPoints()[0].GetAttributes())["outcome"])
			require.Len(t, c.logs, 2)
		})
	}
}

func TestPanicIsFlushed(t *testing.T) {
	c := startCollector(t)
	f := newFunction(t)
	require.PanicsWithValue(t, "asked for by the event", func() { _, _ = f.run(`{"panic":true}`) })
	require.Len(t, c.spans, 3)
	require.Equal(t, "the handler panicked", c.span(t, "shop-checkout").GetStatus().GetMessage())
	require.Len(t, c.logs, 2)
	require.Len(t, c.metrics, 2)
}

func TestCrash(t *testing.T) {
	tel, err := newTelemetry(t.Context(), slog.DiscardHandler)
	require.NoError(t, err)
	type exited int
	c, err := newCheckout(tel, func(code int) { panic(exited(code)) })
	require.NoError(t, err)
	require.PanicsWithValue(t, exited(1), func() { _, _ = c.handle(t.Context(), order{Crash: true}) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, tel.Shutdown(ctx))
}

func TestDeadCollectorDoesNotHoldTheInvocation(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	f := newFunction(t)
	start := time.Now()
	_, err := f.run(`{}`)
	require.NoError(t, err)
	took := time.Since(start)
	require.GreaterOrEqual(t, took, flushTimeout)
	require.Less(t, took, 3*flushTimeout)
	require.Contains(t, f.lines(), "telemetry not delivered")
}

func TestDefaultEndpointIsTheLayer(t *testing.T) {
	endpoint := func() []string { return defaultEndpoint("TRACES", "traces", func(url string) string { return url }) }
	require.Equal(t, []string{"http://localhost:4318/v1/traces"}, endpoint())
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://elsewhere/v1/traces")
	require.Empty(t, endpoint())
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere")
	require.Empty(t, endpoint())
}

func TestHeadersOfEvent(t *testing.T) {
	for event, want := range map[string][]string{
		`{"headers":{"TraceParent":"x"}}`: {"traceparent"},
		`{"headers":"none"}`:              {},
		`"text"`:                          {},
		`not json`:                        {},
	} {
		require.ElementsMatch(t, want, headersOfEvent([]byte(event)).Keys(), event)
	}
}
