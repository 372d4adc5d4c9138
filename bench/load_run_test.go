// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func somePayload(t *testing.T) payload {
	t.Helper()
	list, err := payloads(1)
	require.NoError(t, err)
	return list[0]
}

func hostOf(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	return u.Host
}

func TestBackend(t *testing.T) {
	t.Parallel()
	b, endpoint, err := startBackend(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, b.close()) }()
	p := somePayload(t)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write(p.body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(ctx context.Context, path, encoding string, body []byte) (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Encoding", encoding)
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	for _, c := range []struct {
		path, encoding string
		body           []byte
		code           int
		spans          int
	}{
		{"/v1/traces", "gzip", zipped.Bytes(), http.StatusOK, p.spans},
		{"/v1/traces", "", p.body, http.StatusOK, 2 * p.spans},
		{"/v1/logs", "", []byte("any"), http.StatusOK, 2 * p.spans},
		{"/v1/traces", "", []byte("not a request"), http.StatusBadRequest, 2 * p.spans},
		{"/v1/traces", "gzip", []byte("not a zip"), http.StatusBadRequest, 2 * p.spans},
		{"/v1/traces", "gzip", zipped.Bytes()[:zipped.Len()/2], http.StatusBadRequest, 2 * p.spans},
	} {
		code, err := post(t.Context(), c.path, c.encoding, c.body)
		require.NoError(t, err)
		require.Equal(t, c.code, code)
		require.EqualValues(t, c.spans, b.spans.Load())
		require.EqualValues(t, p.spans, b.zipped.Load(), "the first")
	}
	require.EqualValues(t, 3, b.invalid.Load())

	b.hang()
	b.hang()
	answered := make(chan error, 1)
	send := func(ctx context.Context) {
		_, err := post(ctx, "/v1/traces", "", p.body)
		answered <- err
	}
	waiting := func(n int64) {
		for b.waiting.Load() != n {
			runtime.Gosched()
		}
	}
	limited, cancel := context.WithCancel(t.Context())
	go send(limited)
	waiting(1)
	cancel()
	require.ErrorIs(t, <-answered, context.Canceled)
	waiting(0)
	go send(t.Context())
	waiting(1)
	b.answer()
	require.NoError(t, <-answered)
	require.EqualValues(t, 3*p.spans, b.spans.Load(), "what was given up is not counted")
}

func TestHTTPSender(t *testing.T) {
	t.Parallel()
	p := somePayload(t)
	why, err := proto.Marshal(&spb.Status{Message: "it is full"})
	require.NoError(t, err)
	codes := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, p.body) || r.URL.Path != "/v1/traces" ||
			r.Header.Get("Content-Type") != "application/x-protobuf" {
			panic(http.ErrAbortHandler)
		}
		code := <-codes
		w.WriteHeader(code)
		if code != http.StatusOK {
			_, _ = w.Write(why)
		}
	}))
	defer server.Close()
	s, err := newHTTPSender(t.Context(), server.Listener.Addr().String())
	require.NoError(t, err)
	for code, want := range map[int]verdict{
		http.StatusOK:                 {accepted: true, name: "200"},
		http.StatusServiceUnavailable: {name: "503: it is full", retryable: true},
		http.StatusTooManyRequests:    {name: "429: it is full", retryable: true},
		http.StatusBadGateway:         {name: "502: it is full", retryable: true},
		http.StatusGatewayTimeout:     {name: "504: it is full", retryable: true},
		// The specification has these dropped.
		http.StatusInternalServerError: {name: "500: it is full"},
		http.StatusBadRequest:          {name: "400: it is full"},
	} {
		codes <- code
		v, err := s.send(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	require.NoError(t, s.close())
	_, err = s.send(t.Context(), p)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Equal(t, verdict{name: "503", retryable: true}, httpVerdict(503, []byte("no protobuf")))
}

type traceServer struct {
	ptraceotlp.UnimplementedGRPCServer
	spans  int
	answer error
}

func (s *traceServer) Export(
	_ context.Context, request ptraceotlp.ExportRequest,
) (ptraceotlp.ExportResponse, error) {
	s.spans += request.Traces().SpanCount()
	return ptraceotlp.NewExportResponse(), s.answer
}

func TestGRPCSender(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, traces := grpc.NewServer(), &traceServer{}
	ptraceotlp.RegisterGRPCServer(server, traces)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		require.NoError(t, <-served)
	}()
	s, err := newGRPCSender(l.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	full := status.New(codes.ResourceExhausted, "it is full")
	later, err := full.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	require.NoError(t, err)
	p := somePayload(t)
	for i, c := range []struct {
		answer error
		want   verdict
	}{
		{nil, verdict{accepted: true, name: "OK"}},
		{status.Error(codes.Unavailable, "it is full"), verdict{name: "Unavailable: it is full", retryable: true}},
		{later.Err(), verdict{name: "ResourceExhausted: it is full (with RetryInfo)", retryable: true}},
		{full.Err(), verdict{name: "ResourceExhausted: it is full"}},
		{status.Error(codes.InvalidArgument, "no"), verdict{name: "InvalidArgument: no"}},
	} {
		traces.answer = c.answer
		v, err := s.send(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, c.want, v)
		require.Equal(t, (i+1)*p.spans, traces.spans)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.send(ctx, p)
	require.Equal(t, codes.Canceled, status.Code(err), "nobody has refused it")
	_, err = grpcVerdict(io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestBytesCodec(t *testing.T) {
	t.Parallel()
	_, err := bytesCodec{}.Marshal("text")
	require.Error(t, err)
	require.Error(t, bytesCodec{}.Unmarshal(nil, "text"))
}

// moody refuses each second request.
type moody struct {
	n      int
	broken error
}

func (m *moody) send(context.Context, payload) (verdict, error) {
	m.n++
	return verdict{accepted: m.n%2 == 0, name: "later", retryable: true}, m.broken
}

func (*moody) close() error { return nil }

func TestSenders(t *testing.T) {
	t.Parallel()
	load := []payload{{spans: 3}}
	s, err := startSenders(t.Context(), 2, func() (sender, error) { return &moody{}, nil }, load)
	require.NoError(t, err)
	for s.sum().accepted < 4 {
		runtime.Gosched()
	}
	all, err := s.stop()
	require.NoError(t, err)
	require.Equal(t, 3*all.accepted, all.spans)
	require.Equal(t, map[string]int{"later": all.refused}, all.statuses)
	require.Zero(t, all.wrong)

	down := errors.New("down")
	s, err = startSenders(t.Context(), 2, func() (sender, error) { return &moody{broken: down}, nil }, load)
	require.NoError(t, err)
	require.NoError(t, s.wait(t.Context(), time.Hour), "it does not wait for those that have failed")
	_, err = s.stop()
	require.ErrorIs(t, err, down)

	first := true
	_, err = startSenders(t.Context(), 2, func() (sender, error) {
		if !first {
			return nil, down
		}
		first = false
		return &moody{}, nil
	}, load)
	require.ErrorIs(t, err, down)
}

// TestLoadNow has the senders send to the backend: nothing in between is needed to measure.
func TestLoadNow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	t.Parallel()
	b, endpoint, err := startBackend(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, b.close()) }()
	load, err := payloads(2)
	require.NoError(t, err)
	dial := func() (sender, error) { return newHTTPSender(t.Context(), hostOf(t, endpoint)) }
	s, err := startSenders(t.Context(), 2, dial, load)
	require.NoError(t, err)
	var seen loadSeen
	set := settings{loadTime: 2 * sampleEvery}
	require.NoError(t, set.loadNow(t.Context(), []int{os.Getpid()}, b, s, &seen))
	require.GreaterOrEqual(t, seen.window, set.loadTime)
	require.Positive(t, seen.arrived)
	require.Zero(t, seen.zipped)
	require.Positive(t, seen.cpu)
	require.NotEmpty(t, seen.memory)
	require.Positive(t, seen.memory[0].anonymous)
	require.Zero(t, seen.well.refused)
	require.EqualValues(t, b.spans.Load(), seen.well.spans)
	require.Zero(t, seen.hung)

	s, err = startSenders(t.Context(), 1, dial, load)
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, set.loadNow(ended, []int{os.Getpid()}, b, s, &seen), context.Canceled)
}

// TestLongInvocation runs the function that waits, beside the smallest extension.
func TestLongInvocation(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	t.Parallel()
	dir := t.TempDir()
	p, err := build(t.Context(), dir, false, false)
	require.NoError(t, err)
	floor, err := newSubject(nameRaw, p.rawLayer)
	require.NoError(t, err)
	r := rig{programs: p, dir: dir, condition: unlimited()}
	err = r.with(t.Context(), floor, plan{function: r.idle}, func(e *environment) error {
		require.NoError(t, e.Init(t.Context()))
		_, err := e.invoke(t.Context(), "null")
		require.NoError(t, err)
		require.NoError(t, e.during(t.Context(), func() error {
			require.False(t, e.Report().Invocations[1].Settled)
			return nil
		}))
		require.True(t, e.Report().Invocations[1].Settled)
		failed := errors.New("failed")
		require.ErrorIs(t, e.during(t.Context(), func() error { return failed }), failed)
		seen, err := e.look()
		require.NoError(t, err)
		require.Len(t, seen.pids, 1)
		require.Positive(t, seen.cpu)
		require.Positive(t, seen.minor)
		return e.Shutdown(t.Context())
	})
	require.NoError(t, err)
}

// TestStock puts a real Collector under load, without knowing of Lambda itself.
func TestStock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	program := os.Getenv("STOCK_COLLECTOR")
	if program == "" {
		t.Skip("make test builds a stock Collector and says in STOCK_COLLECTOR where")
	}
	if err := portsFree(t.Context()); err != nil {
		t.Skip("its ports are taken:", err)
	}
	dir := t.TempDir()
	p, err := build(t.Context(), dir, false, true)
	require.NoError(t, err)
	set := settings{
		// Its batches leave every 200 ms.
		stock: program, loadTime: time.Second,
		loadRuns: 1, attributes: []int{1}, connections: []int{1}, backends: []string{atRemote},
	}
	subjects, err := set.subjects(t.Context(), dir, p)
	require.NoError(t, err)
	var names []string
	for _, s := range costed(subjects) {
		names = append(names, s.name)
		require.False(t, s.loaded(false))
	}
	require.Equal(t, []string{nameRaw, nameNetHTTP}, names, "it has nothing to do with a start")
	seen, err := set.measureLoad(t.Context(), dir, p, subjects, io.Discard)
	require.NoError(t, err)
	require.Len(t, seen.rows, 2, "both protocols")
	for _, row := range seen.rows {
		require.Equal(t, nameStock, row.Subject)
		require.Positive(t, row.Figures[keySpanCPU].Median)
		require.Zero(t, row.Figures[keyLoadMissing].Median)
		require.Zero(t, row.Figures[keySpanCPU].Budget)
	}
	for _, s := range subjects {
		require.False(t, s.loaded(true), "nobody judges it")
	}
}
