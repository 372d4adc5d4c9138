// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// signal is what the queue needs to know of traces, metrics or logs.
type signal[T any] struct {
	// name of the items, for log lines, and kind of the signal, as the collector's own telemetry calls it.
	name, kind string
	// count and bytes measure one piece of data: its items, and its size as OTLP protobuf.
	count func(T) int
	bytes func(T) int
	// merge moves what src holds to the end of dst.
	merge func(dst, src T)
	// split makes pieces of at most so many bytes, and empties the data where it is more than one.
	split func(data T, maxBytes int) []T
	// own returns data that may be changed: itself, or a copy of what several exporters have been given.
	own func(T) T
	// copy returns data that nobody else has.
	copy func(T) T
	// deliver hands data to the exporters.
	deliver func(context.Context, T) error
	// marshal and unmarshal are for what is written to disk, as OTLP protobuf.
	marshal   func(T) ([]byte, error)
	unmarshal func([]byte) (T, error)
	// json is for what is written to the log, as OTLP JSON on one line.
	json func(T) ([]byte, error)
	// failed returns the part of the data that an error of deliver is about, when it says so.
	failed func(error) (T, bool)
}

func traces(next consumer.Traces) signal[ptrace.Traces] {
	var sizer ptrace.ProtoMarshaler
	var decoder ptrace.ProtoUnmarshaler
	var encoder ptrace.JSONMarshaler
	return signal[ptrace.Traces]{
		name:    "spans",
		kind:    "traces",
		count:   ptrace.Traces.SpanCount,
		bytes:   sizer.TracesSize,
		merge:   func(dst, src ptrace.Traces) { src.ResourceSpans().MoveAndAppendTo(dst.ResourceSpans()) },
		deliver: next.ConsumeTraces,
		split:   splitTraces,
		copy:    copyTraces,
		own: func(td ptrace.Traces) ptrace.Traces {
			if td.IsReadOnly() {
				return copyTraces(td)
			}
			return td
		},

		json:      encoder.MarshalTraces,
		marshal:   sizer.MarshalTraces,
		unmarshal: decoder.UnmarshalTraces,
		failed: func(err error) (ptrace.Traces, bool) {
			part, ok := errors.AsType[consumererror.Traces](err)
			if !ok {
				return ptrace.Traces{}, false
			}
			return part.Data(), true
		},
	}
}

func copyTraces(td ptrace.Traces) ptrace.Traces {
	copied := ptrace.NewTraces()
	td.CopyTo(copied)
	return copied
}

func metrics(next consumer.Metrics) signal[pmetric.Metrics] {
	var sizer pmetric.ProtoMarshaler
	var decoder pmetric.ProtoUnmarshaler
	var encoder pmetric.JSONMarshaler
	return signal[pmetric.Metrics]{
		name:    "metric points",
		kind:    "metrics",
		count:   pmetric.Metrics.DataPointCount,
		bytes:   sizer.MetricsSize,
		merge:   func(dst, src pmetric.Metrics) { src.ResourceMetrics().MoveAndAppendTo(dst.ResourceMetrics()) },
		deliver: next.ConsumeMetrics,
		split:   splitMetrics,
		copy:    copyMetrics,
		own: func(md pmetric.Metrics) pmetric.Metrics {
			if md.IsReadOnly() {
				return copyMetrics(md)
			}
			return md
		},

		json:      encoder.MarshalMetrics,
		marshal:   sizer.MarshalMetrics,
		unmarshal: decoder.UnmarshalMetrics,
		failed: func(err error) (pmetric.Metrics, bool) {
			part, ok := errors.AsType[consumererror.Metrics](err)
			if !ok {
				return pmetric.Metrics{}, false
			}
			return part.Data(), true
		},
	}
}

func copyMetrics(md pmetric.Metrics) pmetric.Metrics {
	copied := pmetric.NewMetrics()
	md.CopyTo(copied)
	return copied
}

func logs(next consumer.Logs) signal[plog.Logs] {
	var sizer plog.ProtoMarshaler
	var decoder plog.ProtoUnmarshaler
	var encoder plog.JSONMarshaler
	return signal[plog.Logs]{
		name:    "log records",
		kind:    "logs",
		count:   plog.Logs.LogRecordCount,
		bytes:   sizer.LogsSize,
		merge:   func(dst, src plog.Logs) { src.ResourceLogs().MoveAndAppendTo(dst.ResourceLogs()) },
		deliver: next.ConsumeLogs,
		split:   splitLogs,
		copy:    copyLogs,
		own: func(ld plog.Logs) plog.Logs {
			if ld.IsReadOnly() {
				return copyLogs(ld)
			}
			return ld
		},

		json:      encoder.MarshalLogs,
		marshal:   sizer.MarshalLogs,
		unmarshal: decoder.UnmarshalLogs,
		failed: func(err error) (plog.Logs, bool) {
			part, ok := errors.AsType[consumererror.Logs](err)
			if !ok {
				return plog.Logs{}, false
			}
			return part.Data(), true
		},
	}
}

func copyLogs(ld plog.Logs) plog.Logs {
	copied := plog.NewLogs()
	ld.CopyTo(copied)
	return copied
}

// causes returns the errors of the exporters behind a fan-out, which joins them, or err alone.
func causes(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// permanent reports whether no part of err is worth another try. consumererror.IsPermanent holds for joined errors as
// soon as one of them is permanent; giving up on the other exporters would lose their data.
func permanent(err error) bool {
	for _, cause := range causes(err) {
		if !consumererror.IsPermanent(cause) {
			return false
		}
	}
	return true
}

type tracesProcessor struct{ *decouple[ptrace.Traces] }

func (p tracesProcessor) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	taken := func() {}
	if p.lifecycle != nil {
		taken = p.lifecycle.ObserveTraces(td)
	}
	err := p.accept(td)
	if err == nil {
		taken()
	}
	return err
}

type metricsProcessor struct{ *decouple[pmetric.Metrics] }

func (p metricsProcessor) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	return p.accept(md)
}

type logsProcessor struct{ *decouple[plog.Logs] }

func (p logsProcessor) ConsumeLogs(_ context.Context, ld plog.Logs) error { return p.accept(ld) }
