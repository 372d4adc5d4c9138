// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.opentelemetry.io/otel/trace"
)

// stdoutHandler writes JSON lines with the keys that Lambda's JSON log format has, and with the ids that connect a line
// to its invocation and its span.
type stdoutHandler struct{ slog.Handler }

func newStdoutHandler(w io.Writer) slog.Handler {
	return stdoutHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				a.Key = "timestamp"
			case slog.MessageKey:
				a.Key = "message"
			}
			return a
		},
	})}
}

// Handle implements slog.Handler.
func (h stdoutHandler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		r.AddAttrs(slog.String("requestId", lc.AwsRequestID))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h stdoutHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return stdoutHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h stdoutHandler) WithGroup(name string) slog.Handler {
	return stdoutHandler{h.Handler.WithGroup(name)}
}
