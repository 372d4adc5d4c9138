// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func TestRemoteLeadsHere(t *testing.T) {
	s := startSink(t, "")
	remote := Remote(s.HTTPEndpoint())
	require.NotEqual(t, s.HTTPEndpoint(), remote)
	got, err := postTraces(testContext(t), t, httpClient(t), remote, someTraces(1, 1))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, 1, s.Counts().Spans)
}

func TestHTTPTakesEverySignalAndEncoding(t *testing.T) {
	s := startSink(t, "")
	client := httpClient(t)
	requests := map[Signal]codec{
		SignalTraces:  tracesRequest(someTraces(1, 2)),
		SignalMetrics: metricsRequest(someMetrics(3)),
		SignalLogs:    logsRequest(someLogs(4)),
	}
	sent := 0
	for signal, request := range requests {
		for _, media := range []string{contentProto, contentJSON} {
			for _, encoding := range []string{"", "gzip", "zstd", "deflate"} {
				plain := body(t, request, media)
				before := time.Now()
				got, err := post(testContext(t), client, s.HTTPEndpoint()+"/v1/"+string(signal),
					compressed(t, encoding, plain),
					"Content-Type", media, "Content-Encoding", encoding, "X-Token", "abc")
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, got.status, string(got.body))
				require.Equal(t, media, got.header.Get("Content-Type"))
				sent++

				reqs := s.Requests()
				require.Len(t, reqs, sent)
				r := reqs[sent-1]
				require.Equal(t, sent, r.Number)
				require.Equal(t, signal, r.Signal)
				require.Equal(t, TransportHTTP, r.Transport)
				require.Equal(t, OutcomeAccepted, r.Outcome)
				require.Equal(t, len(plain), r.Bytes)
				require.Equal(t, http.StatusOK, r.Status)
				require.Equal(t, "abc", r.Header.Get("X-Token"))
				require.False(t, r.Received.Before(before))
				require.False(t, r.Ended.Before(r.Received))
			}
		}
	}
	c := s.Counts()
	require.Equal(t, Counts{Requests: map[Outcome]int{OutcomeAccepted: 24}, Spans: 16, Points: 24, LogRecords: 32}, c)
	// Whatever the encoding, the items are the same.
	ids := s.Identities()
	require.Len(t, ids, 2+3+4)
	for id, n := range ids {
		require.Equal(t, 8, n, id)
	}
	require.Len(t, s.Traces(), 8)
	require.Len(t, s.Metrics(), 8)
	require.Len(t, s.Logs(), 8)
}

func TestGRPCTakesEverySignal(t *testing.T) {
	s := startSink(t, "")
	cc := grpcConn(t, s)
	ctx := metadata.AppendToOutgoingContext(testContext(t), "x-token", "abc")

	_, err := ptraceotlp.NewGRPCClient(cc).Export(ctx, ptraceotlp.NewExportRequestFromTraces(someTraces(1, 2)))
	require.NoError(t, err)
	_, err = pmetricotlp.NewGRPCClient(cc).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(someMetrics(3)),
		grpc.UseCompressor(gzip.Name))
	require.NoError(t, err)
	_, err = plogotlp.NewGRPCClient(cc).Export(ctx, plogotlp.NewExportRequestFromLogs(someLogs(4)))
	require.NoError(t, err)

	require.Equal(t, Counts{Requests: map[Outcome]int{OutcomeAccepted: 3}, Spans: 2, Points: 3, LogRecords: 4}, s.Counts())
	for i, r := range s.Requests() {
		require.Equal(t, i+1, r.Number)
		require.Equal(t, TransportGRPC, r.Transport)
		require.Equal(t, signals()[i], r.Signal)
		require.Equal(t, "abc", r.Header.Get("X-Token"))
		require.True(t, strings.HasSuffix(r.Path, "/Export"), r.Path)
		require.Positive(t, r.Bytes)
	}
	span := s.Spans()[1]
	require.Equal(t, TransportGRPC, span.Transport)
	require.Equal(t, 1, span.Request)
	require.Equal(t, "shop", span.Service())
	require.Equal(t, "test", span.Scope.Name())
	require.Equal(t, s.Requests()[0].Received, span.Arrived)
	require.Equal(t, "traces/"+traceID(1).String()+"/"+spanID(1<<16+2).String(), span.ID)
}

func TestGRPCGarbageIsInvalid(t *testing.T) {
	s := startSink(t, "")
	cc := grpcConn(t, s)
	err := cc.Invoke(testContext(t), "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
		status.New(codes.Aborted, "no traces in here").Proto(), new(emptyMessage))
	require.Error(t, err)
	require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool { return s.Counts().Requests[OutcomeInvalid] == 1 }))
	require.NotEmpty(t, s.Requests()[0].Err)

	require.Equal(t, codes.Unimplemented, status.Code(cc.Invoke(testContext(t), "/other.Service/Export",
		status.New(codes.Aborted, "").Proto(), new(emptyMessage))))
	require.Len(t, s.Requests(), 1)
}

func TestHTTPTurnsAwayWhatIsNotOTLP(t *testing.T) {
	s := New(Options{MaxBodyBytes: 10_000, GRPCAddr: AddrNone})
	require.NoError(t, s.Start(testContext(t)))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.Empty(t, s.GRPCEndpoint())
	client := httpClient(t)
	good := body(t, tracesRequest(someTraces(1, 1)), contentProto)

	for name, tt := range map[string]struct {
		path, media, encoding string
		body                  []byte
		status                int
	}{
		"protobuf garbage": {"/v1/traces", contentProto, "", []byte("not protobuf"), 400},
		"json garbage":     {"/v1/logs", contentJSON, "", []byte("{not json"), 400},
		"gzip garbage":     {"/v1/traces", contentProto, "gzip", good, 400},
		"gzip cut short":   {"/v1/traces", contentProto, "gzip", compressed(t, "gzip", good)[:20], 400},
		"zstd garbage":     {"/v1/traces", contentProto, "zstd", good, 400},
		"unknown encoding": {"/v1/traces", contentProto, "br", good, 400},
		"unknown type":     {"/v1/traces", "text/plain", "", good, 415},
		"no type":          {"/v1/traces", "", "", good, 415},
		"unknown path":     {"/v1/profiles", contentProto, "", good, 404},
		"too large":        {"/v1/traces", contentProto, "", make([]byte, 10_001), 413},
		"bomb":             {"/v1/traces", contentProto, "gzip", compressed(t, "gzip", make([]byte, 10_001)), 413},
		"zstd bomb":        {"/v1/traces", contentProto, "zstd", compressed(t, "zstd", make([]byte, 10_001)), 413},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := post(testContext(t), client, s.HTTPEndpoint()+tt.path, tt.body,
				"Content-Type", tt.media, "Content-Encoding", tt.encoding)
			require.NoError(t, err)
			require.Equal(t, tt.status, got.status, string(got.body))

			st := status.New(codes.OK, "").Proto()
			if tt.media == contentJSON {
				require.NoError(t, protojson.Unmarshal(got.body, st))
			} else {
				require.NoError(t, proto.Unmarshal(got.body, st))
			}
			require.NotEmpty(t, st.GetMessage())
			reqs := s.Requests()
			last := reqs[len(reqs)-1]
			require.Equal(t, OutcomeInvalid, last.Outcome)
			require.Equal(t, tt.status, last.Status)
			require.Equal(t, st.GetMessage(), last.Err)
		})
	}
	req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, s.HTTPEndpoint()+"/v1/traces", http.NoBody)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	require.Equal(t, http.MethodPost, resp.Header.Get("Allow"))

	require.Zero(t, s.Counts().Spans)
}

func TestWaitFor(t *testing.T) {
	s := startSink(t, "")
	ctx, cancel := context.WithCancelCause(testContext(t))
	stop := errors.New("enough")
	cancel(stop)
	require.ErrorIs(t, s.WaitFor(ctx, func(s *Sink) bool { return s.Counts().Spans > 0 }), stop)

	done := make(chan error, 1)
	go func() {
		done <- s.WaitFor(testContext(t), func(s *Sink) bool { return s.Counts().Spans == 3 })
	}()
	client := httpClient(t)
	for i := range 3 {
		_, err := postTraces(testContext(t), t, client, s.HTTPEndpoint(), someTraces(i, 1))
		require.NoError(t, err)
	}
	require.NoError(t, <-done)
}

func TestLifecycle(t *testing.T) {
	require.NoError(t, New(Options{}).Close(), "without Start")

	s := New(Options{})
	require.ErrorContains(t, s.SetFaults(), "not started")
	require.NoError(t, s.Start(testContext(t)))
	require.ErrorContains(t, s.Start(testContext(t)), "started already")

	taken := New(Options{GRPCAddr: s.GRPCEndpoint()[len("http://"):]})
	require.ErrorContains(t, taken.Start(testContext(t)), "otlp over grpc")

	invalid := New(Options{Faults: []Fault{{Action: "sulk"}}})
	require.ErrorContains(t, invalid.Start(testContext(t)), `unknown action "sulk"`)

	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorContains(t, s.SetFaults(), "closed")
}

// emptyMessage reads like any protobuf message and keeps nothing.
type emptyMessage struct{}

func (*emptyMessage) Reset()         {}
func (*emptyMessage) String() string { return "" }
func (*emptyMessage) ProtoMessage()  {}
