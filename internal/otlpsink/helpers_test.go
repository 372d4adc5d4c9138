// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far beyond what anything here takes; it turns a hang into a failure.
const patience = 20 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func startSink(t *testing.T, faults string) *Sink {
	t.Helper()
	parsed, err := ParseFaults(faults)
	require.NoError(t, err)
	s := New(Options{Faults: parsed})
	require.NoError(t, s.Start(testContext(t)))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func setFaults(t *testing.T, s *Sink, faults string) {
	t.Helper()
	parsed, err := ParseFaults(faults)
	require.NoError(t, err)
	require.NoError(t, s.SetFaults(parsed...))
}

const epoch = 1_790_000_000_000_000_000

// someTraces has n spans of one trace; the seed makes their ids.
func someTraces(seed, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("test")
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(traceID(seed))
		s.SetSpanID(spanID(seed<<16 + i + 1))
		s.SetName("work")
		s.SetStartTimestamp(epoch)
		s.SetEndTimestamp(epoch + 1000)
	}
	return td
}

func traceID(n int) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

func spanID(n int) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func someMetrics(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	sm := rm.ScopeMetrics().AppendEmpty()
	sum := sm.Metrics().AppendEmpty()
	sum.SetName("orders")
	sum.SetEmptySum().SetIsMonotonic(true)
	for i := range n {
		p := sum.Sum().DataPoints().AppendEmpty()
		p.SetIntValue(int64(i))
		p.SetTimestamp(epoch)
	}
	return md
}

func someLogs(n int) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "shop")
	sl := rl.ScopeLogs().AppendEmpty()
	for i := range n {
		lr := sl.LogRecords().AppendEmpty()
		lr.Body().SetStr("order placed")
		lr.Attributes().PutInt("n", int64(i))
		lr.SetTimestamp(epoch)
	}
	return ld
}

func tracesRequest(td ptrace.Traces) codec { return ptraceotlp.NewExportRequestFromTraces(td) }

func body(t *testing.T, c codec, media string) []byte {
	t.Helper()
	marshal := c.MarshalProto
	if media == contentJSON {
		marshal = c.MarshalJSON
	}
	b, err := marshal()
	require.NoError(t, err)
	return b
}

func compressed(t *testing.T, encoding string, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "":
		return plain
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "deflate":
		w = zlib.NewWriter(&buf)
	case "zstd":
		enc, err := zstd.NewWriter(&buf)
		require.NoError(t, err)
		w = enc
	default:
		t.Fatalf("no encoding %q", encoding)
	}
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// httpClient has connections of its own, so that tests do not share them and can close them.
func httpClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func post(ctx context.Context, c *http.Client, url string, content []byte, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", contentProto)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return answer{resp.StatusCode, resp.Header, b}, err
}

func postTraces(ctx context.Context, t *testing.T, c *http.Client, base string, td ptrace.Traces) (answer, error) {
	t.Helper()
	return post(ctx, c, base+"/v1/traces", body(t, tracesRequest(td), contentProto))
}

func grpcConn(t *testing.T, s *Sink) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+s.GRPCEndpoint()[len("http://"):],
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cc.Close()) })
	return cc
}

func exportTraces(
	ctx context.Context, cc *grpc.ClientConn, td ptrace.Traces, opts ...grpc.CallOption,
) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewGRPCClient(cc).Export(ctx, ptraceotlp.NewExportRequestFromTraces(td), opts...)
}

func metricsRequest(md pmetric.Metrics) codec { return pmetricotlp.NewExportRequestFromMetrics(md) }

func logsRequest(ld plog.Logs) codec { return plogotlp.NewExportRequestFromLogs(ld) }

func outcomes(s *Sink) []Outcome {
	var all []Outcome
	for _, r := range s.Requests() {
		all = append(all, r.Outcome)
	}
	return all
}
