// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // clients of OTLP/gRPC compress with it
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"
)

func (s *Sink) newGRPCServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(int(s.options.MaxBodyBytes)),
		// It runs when the headers of a request came and blocks the reading of the connection, which is what
		// `hang_before_read` is.
		grpc.InTapHandle(s.admitGRPC),
		grpc.StatsHandler(&grpcStats{sink: s}),
		grpc.WaitForHandlers(true),
	)
	ptraceotlp.RegisterGRPCServer(server, &grpcTraces{sink: s})
	pmetricotlp.RegisterGRPCServer(server, &grpcMetrics{sink: s})
	plogotlp.RegisterGRPCServer(server, &grpcLogs{sink: s})
	return server
}

type exchangeKey struct{}

func (s *Sink) admitGRPC(ctx context.Context, info *tap.Info) (context.Context, error) {
	signal, ok := signalOfMethod(info.FullMethodName)
	if !ok {
		return ctx, nil // the server answers Unimplemented
	}
	ex, err := s.admit(ctx, signal, TransportGRPC, info.FullMethodName, headerOf(info.Header))
	if err != nil {
		return ctx, status.Error(codes.Unavailable, err.Error())
	}
	// A request whose time is over by now gets no further, and nobody else would say so.
	context.AfterFunc(ctx, func() {
		if !ex.handled.Load() {
			s.abandon(ex, errAbandoned)
		}
	})
	return context.WithValue(ctx, exchangeKey{}, ex), nil
}

func signalOfMethod(method string) (Signal, bool) {
	for signal, service := range map[Signal]string{
		SignalTraces: "trace.v1.TraceService", SignalMetrics: "metrics.v1.MetricsService", SignalLogs: "logs.v1.LogsService",
	} {
		if strings.TrimPrefix(method, "/opentelemetry.proto.collector.") == service+"/Export" {
			return signal, true
		}
	}
	return "", false
}

func headerOf(md metadata.MD) http.Header {
	h := http.Header{}
	for key, values := range md {
		for _, v := range values {
			h.Add(key, v)
		}
	}
	return h
}

// grpcStats sees what the service methods do not: the size of a request, and requests that end before they are read.
type grpcStats struct{ sink *Sink }

// TagRPC implements stats.Handler.
func (*grpcStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (g *grpcStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	ex, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return
	}
	switch event := event.(type) {
	case *stats.Begin:
		ex.handled.Store(true)
	case *stats.InPayload:
		ex.bytes = event.Length
	case *stats.End:
		if ex.request.Received.IsZero() {
			g.sink.unread(ex, event.Error)
		}
	}
}

// TagConn implements stats.Handler.
func (*grpcStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*grpcStats) HandleConn(context.Context, stats.ConnStats) {}

// unread ends a request of which no message came, or none that is OTLP.
func (s *Sink) unread(ex *exchange, err error) {
	switch status.Code(err) {
	case codes.OK, codes.Canceled, codes.DeadlineExceeded:
		s.abandon(ex, errAbandoned)
	default:
		s.invalid(ex, 0, err)
	}
}

type grpcTraces struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *Sink
}

// Export implements ptraceotlp.GRPCServer.
func (g *grpcTraces) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	rejected, err := g.sink.export(ctx, payload{signal: SignalTraces, traces: r.Traces()})
	return tracesResponse(rejected), err
}

type grpcMetrics struct {
	pmetricotlp.UnimplementedGRPCServer
	sink *Sink
}

// Export implements pmetricotlp.GRPCServer.
func (g *grpcMetrics) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	rejected, err := g.sink.export(ctx, payload{signal: SignalMetrics, metrics: r.Metrics()})
	return metricsResponse(rejected), err
}

type grpcLogs struct {
	plogotlp.UnimplementedGRPCServer
	sink *Sink
}

// Export implements plogotlp.GRPCServer.
func (g *grpcLogs) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	rejected, err := g.sink.export(ctx, payload{signal: SignalLogs, logs: r.Logs()})
	return logsResponse(rejected), err
}

func (s *Sink) export(ctx context.Context, p payload) (rejected int, err error) {
	ex, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return 0, status.Error(codes.Internal, "the request was not admitted")
	}
	s.received(ex, p.items())
	v := s.settle(ctx, ex, p)
	switch v.outcome {
	case OutcomeAccepted:
		return v.rejected, nil
	case OutcomeRefused:
		return 0, refusal(v.fault)
	case OutcomeBroken, OutcomeAckLost:
		if client, ok := peer.FromContext(ctx); ok {
			s.grpcGate.breakConn(client.Addr.String(), v.fault.Action != ActionClose)
		}
		return 0, status.Error(codes.Unavailable, "the connection is broken")
	default:
		return 0, status.Error(codes.Canceled, "the request was given up")
	}
}

func refusal(f Fault) error {
	st := status.New(f.grpcCode(), "refused as asked for by the fault "+f.String())
	if f.RetryAfter > 0 {
		detailed, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
		if err == nil {
			st = detailed
		}
	}
	return st.Err()
}
