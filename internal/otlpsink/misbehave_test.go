// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sender sends one request for traces and returns what the client was told.
type sender func(ctx context.Context, seed, n int) error

// bench is a sink and somebody to send to it.
type bench struct {
	t    *testing.T
	s    *Sink
	send sender
}

// overBoth runs a test once per transport. Every sender has a connection of its own.
func overBoth(t *testing.T, faults string, test func(b bench)) {
	t.Helper()
	t.Run("http", func(t *testing.T) {
		s := startSink(t, faults)
		test(bench{t, s, httpSender(t, s.HTTPEndpoint())})
	})
	t.Run("grpc", func(t *testing.T) {
		s := startSink(t, faults)
		cc := grpcConn(t, s)
		test(bench{t, s, func(ctx context.Context, seed, n int) error {
			_, err := exportTraces(ctx, cc, someTraces(seed, n))
			return err
		}})
	})
}

func httpSender(t *testing.T, base string) sender {
	t.Helper()
	client := httpClient(t)
	return func(ctx context.Context, seed, n int) error {
		got, err := postTraces(ctx, t, client, base, someTraces(seed, n))
		if err == nil && got.status != http.StatusOK {
			err = errors.New(http.StatusText(got.status))
		}
		return err
	}
}

func TestStatusForTheFirstRequests(t *testing.T) {
	overBoth(t, "status=503,first=2", func(b bench) {
		t, s, send := b.t, b.s, b.send
		require.Error(t, send(testContext(t), 1, 2))
		require.Error(t, send(testContext(t), 1, 2))
		require.NoError(t, send(testContext(t), 1, 2))

		require.Equal(t, []Outcome{OutcomeRefused, OutcomeRefused, OutcomeAccepted}, outcomes(s))
		require.Equal(t, 4, s.Counts().Refused)
		require.Len(t, s.Spans(), 2, "only what was answered with success has arrived")
		require.Equal(t, 2, s.Requests()[0].Items)
	})
}

func TestThrottlingOverHTTP(t *testing.T) {
	s := startSink(t, "status=429,retry_after=1200ms,first=1;status=429")
	client := httpClient(t)
	got, err := postTraces(testContext(t), t, client, s.HTTPEndpoint(), someTraces(1, 1))
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "2", got.header.Get("Retry-After"))

	got, err = postTraces(testContext(t), t, client, s.HTTPEndpoint(), someTraces(1, 1))
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Empty(t, got.header.Values("Retry-After"))
}

func TestStatusOverGRPC(t *testing.T) {
	for faults, want := range map[string]codes.Code{
		"status=503":                        codes.Unavailable,
		"status=429":                        codes.ResourceExhausted,
		"status=400":                        codes.InvalidArgument,
		"status=401":                        codes.Unauthenticated,
		"status=403":                        codes.PermissionDenied,
		"status=404":                        codes.Unimplemented,
		"status=408":                        codes.DeadlineExceeded,
		"status=500":                        codes.Internal,
		"status=418":                        codes.Unknown,
		"status=500,code=ABORTED":           codes.Aborted,
		"status=429,retry_after=1200ms":     codes.ResourceExhausted,
		"status=503,signal=logs;status=500": codes.Internal,
	} {
		t.Run(faults, func(t *testing.T) {
			s := startSink(t, faults)
			_, err := exportTraces(testContext(t), grpcConn(t, s), someTraces(1, 1))
			require.Equal(t, want, status.Code(err), err)
			details := status.Convert(err).Details()
			if faults != "status=429,retry_after=1200ms" {
				require.Empty(t, details)
				return
			}
			require.Len(t, details, 1)
			require.Equal(t, 1200*time.Millisecond, details[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
		})
	}
}

func TestEveryOther(t *testing.T) {
	overBoth(t, "status=500,every=2", func(b bench) {
		t, s, send := b.t, b.s, b.send
		for i := range 6 {
			err := send(testContext(t), i, 1)
			require.Equal(t, i%2 == 1, err != nil, i)
		}
		require.Len(t, s.Spans(), 3)
	})
}

func TestLatency(t *testing.T) {
	overBoth(t, "latency=80ms", func(b bench) {
		t, s, send := b.t, b.s, b.send
		require.NoError(t, send(testContext(t), 1, 1))
		r := s.Requests()[0]
		require.GreaterOrEqual(t, r.Ended.Sub(r.Received), 80*time.Millisecond)

		// A client that does not wait has not delivered.
		setFaults(t, s, "latency=1h")
		require.Error(t, send(untilHeld(t, s), 2, 1))
		require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool {
			return s.Counts().Requests[OutcomeAbandoned] == 1
		}))
		require.Len(t, s.Spans(), 1)
		require.Equal(t, "the client gave up", s.Requests()[1].Err)
	})
}

// untilHeld returns a context that ends when the sink holds a request that it has read.
func untilHeld(t *testing.T, s *Sink) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	var watcher sync.WaitGroup
	watcher.Go(func() {
		_ = s.WaitFor(ctx, func(s *Sink) bool {
			return slices.ContainsFunc(s.Requests(), func(r Request) bool {
				return r.Outcome == OutcomePending && !r.Received.IsZero()
			})
		})
		cancel()
	})
	t.Cleanup(func() { cancel(); watcher.Wait() })
	return ctx
}

// sendAndHang starts a request and returns when the sink holds it.
func sendAndHang(t *testing.T, s *Sink, send sender, read bool) <-chan error {
	t.Helper()
	pending := s.Counts().Requests[OutcomePending]
	done := make(chan error, 1)
	go func() { done <- send(testContext(t), 1, 1) }()
	require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool {
		if s.Counts().Requests[OutcomePending] <= pending {
			return false
		}
		reqs := s.Requests() // after the counts, so that it is among them
		return reqs[len(reqs)-1].Received.IsZero() != read
	}))
	return done
}

func TestHangUntilReleased(t *testing.T) {
	for action, read := range map[string]bool{"hang": true, "hang_before_read": false} {
		overBoth(t, action+",first=3", func(b bench) {
			t, s, send := b.t, b.s, b.send
			done := sendAndHang(t, s, send, read)
			require.Empty(t, s.Spans())
			s.Release()
			require.NoError(t, <-done)
			require.Len(t, s.Spans(), 1)

			done = sendAndHang(t, s, send, read)
			setFaults(t, s, action+",for=100ms")
			require.NoError(t, <-done, "new faults release")

			start := time.Now()
			require.NoError(t, send(testContext(t), 2, 1))
			require.NoError(t, send(testContext(t), 3, 1), "the fault's time is over")
			require.Less(t, time.Since(start), patience)

			setFaults(t, s, action)
			done = sendAndHang(t, s, send, read)
			require.NoError(t, s.Close())
			require.Error(t, <-done, "closing does not answer")
		})
	}
}

func TestHangWhoseClientGoes(t *testing.T) {
	overBoth(t, "hang", func(b bench) {
		t, s, send := b.t, b.s, b.send
		require.Error(t, send(untilHeld(t, s), 1, 1))
		require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool {
			return s.Counts().Requests[OutcomeAbandoned] == 1
		}))
		s.Release()
		require.Empty(t, s.Spans())
	})
}

func TestHangBeforeReadDoesNotRead(t *testing.T) {
	s := startSink(t, "hang_before_read")
	conn, err := new(net.Dialer).DialContext(testContext(t), "tcp", s.HTTPEndpoint()[len("http://"):])
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n")
	require.NoError(t, err)
	// Far more than the buffers of both sockets take.
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	n, err := conn.Write(make([]byte, 64<<20))
	require.ErrorContains(t, err, "timeout")
	require.Less(t, n, 32<<20)
	require.Zero(t, s.Requests()[0].Received)
}

func TestBrokenConnections(t *testing.T) {
	for action, recorded := range map[string]int{"close": 0, "reset": 0, "ack_lost": 2} {
		overBoth(t, action+",first=1", func(b bench) {
			t, s, send := b.t, b.s, b.send
			err := send(testContext(t), 1, 2)
			require.Error(t, err)
			if _, isGRPC := status.FromError(err); isGRPC {
				require.Equal(t, codes.Unavailable, status.Code(err))
			} else if action == "close" {
				require.ErrorIs(t, err, io.EOF)
			} else {
				require.ErrorIs(t, err, syscall.ECONNRESET)
			}
			require.Len(t, s.Spans(), recorded)
			require.NoError(t, send(testContext(t), 1, 2), "the next connection is good")
			require.Len(t, s.Spans(), recorded+2)
			for _, times := range s.Identities() {
				require.Equal(t, 1+recorded/2, times, "what the client sends again after a lost answer is there twice")
			}
			want := OutcomeBroken
			if action == "ack_lost" {
				want = OutcomeAckLost
			}
			require.Equal(t, []Outcome{want, OutcomeAccepted}, outcomes(s))
		})
	}
}

func TestPartialSuccess(t *testing.T) {
	s := startSink(t, "partial=2")
	got, err := postTraces(testContext(t), t, httpClient(t), s.HTTPEndpoint(), someTraces(1, 3))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status)
	resp := ptraceotlp.NewExportResponse()
	require.NoError(t, resp.UnmarshalProto(got.body))
	require.EqualValues(t, 2, resp.PartialSuccess().RejectedSpans())
	require.NotEmpty(t, resp.PartialSuccess().ErrorMessage())
	require.Len(t, s.Spans(), 1)
	require.Equal(t, spanID(1<<16+3), s.Spans()[0].SpanID(), "the first items are rejected")
	require.Equal(t, 1, s.Traces()[0].SpanCount())

	resp, err = exportTraces(testContext(t), grpcConn(t, s), someTraces(2, 1))
	require.NoError(t, err)
	require.EqualValues(t, 1, resp.PartialSuccess().RejectedSpans(), "no more than there are")
	require.Len(t, s.Spans(), 1)

	for path, request := range map[string]codec{
		"/v1/metrics": metricsRequest(someMetrics(5)), "/v1/logs": logsRequest(someLogs(5)),
	} {
		got, err := post(testContext(t), httpClient(t), s.HTTPEndpoint()+path, body(t, request, contentProto))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.status)
	}
	c := s.Counts()
	require.Equal(t, 3, c.Points)
	require.Equal(t, 3, c.LogRecords)
	require.Equal(t, 2+1+2+2, c.Refused)
	require.Equal(t, 3, s.Requests()[0].Items)
	require.Equal(t, 2, s.Requests()[0].Rejected)
}

func TestRefuseAndComeBack(t *testing.T) {
	overBoth(t, "", func(b bench) {
		t, s, send := b.t, b.s, b.send
		require.NoError(t, send(testContext(t), 1, 1))
		endpoints := []string{s.HTTPEndpoint(), s.GRPCEndpoint()}

		setFaults(t, s, "refuse")
		require.Equal(t, endpoints[0], s.HTTPEndpoint())
		require.Equal(t, endpoints[1], s.GRPCEndpoint())
		for _, e := range endpoints {
			_, err := new(net.Dialer).DialContext(testContext(t), "tcp", e[len("http://"):])
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		require.Error(t, send(testContext(t), 2, 1), "the old connection is gone too")

		setFaults(t, s, "")
		require.NoError(t, eventually(t, func() error { return send(testContext(t), 3, 1) }))
		require.Len(t, s.Spans(), 2)
	})
}

func TestRefuseForAWhile(t *testing.T) {
	s := startSink(t, "refuse,for=1s,transport=http")
	dial := func(endpoint string) error {
		conn, err := new(net.Dialer).DialContext(testContext(t), "tcp", endpoint[len("http://"):])
		if err != nil {
			return err
		}
		return conn.Close()
	}
	require.ErrorIs(t, dial(s.HTTPEndpoint()), syscall.ECONNREFUSED)
	require.NoError(t, dial(s.GRPCEndpoint()), "only http refuses")
	// Who answers first on a port that was free for a second may be somebody else.
	send := httpSender(t, s.HTTPEndpoint())
	require.NoError(t, eventually(t, func() error { return send(testContext(t), 1, 1) }))
	require.Len(t, s.Spans(), 1)
}

func TestRefuseCutsOffWhatHangs(t *testing.T) {
	overBoth(t, "hang,first=1;refuse,from=1s", func(b bench) {
		t, s, send := b.t, b.s, b.send
		require.Error(t, send(testContext(t), 1, 1))
		require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool {
			return s.Counts().Requests[OutcomeAbandoned] == 1
		}))
	})
}

// eventually tries again until there is no error; a gRPC client backs off after a refused connection.
func eventually(t *testing.T, try func() error) error {
	t.Helper()
	var err error
	require.Eventually(t, func() bool { err = try(); return err == nil }, patience, 10*time.Millisecond)
	return err
}

func TestOneConnectionBreaksAlone(t *testing.T) {
	s := startSink(t, "hang,first=1;reset,first=1")
	patient, unlucky := grpcConn(t, s), grpcConn(t, s)
	done := sendAndHang(t, s, func(ctx context.Context, seed, n int) error {
		_, err := exportTraces(ctx, patient, someTraces(seed, n))
		return err
	}, true)
	_, err := exportTraces(testContext(t), unlucky, someTraces(2, 1), grpc.WaitForReady(false))
	require.Equal(t, codes.Unavailable, status.Code(err))
	s.Release()
	require.NoError(t, <-done)
}
