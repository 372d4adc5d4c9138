// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// payload is the content of one request. Only the field of its signal is set.
type payload struct {
	signal  Signal
	traces  ptrace.Traces
	metrics pmetric.Metrics
	logs    plog.Logs
}

// codec is what the three OTLP requests and responses have in common.
type codec interface {
	MarshalProto() ([]byte, error)
	UnmarshalProto([]byte) error
	MarshalJSON() ([]byte, error)
	UnmarshalJSON([]byte) error
}

func decodePayload(signal Signal, body []byte, json bool) (payload, error) {
	p := payload{signal: signal}
	switch signal {
	case SignalTraces:
		req := ptraceotlp.NewExportRequest()
		err := unmarshal(req, body, json)
		p.traces = req.Traces()
		return p, err
	case SignalMetrics:
		req := pmetricotlp.NewExportRequest()
		err := unmarshal(req, body, json)
		p.metrics = req.Metrics()
		return p, err
	default:
		req := plogotlp.NewExportRequest()
		err := unmarshal(req, body, json)
		p.logs = req.Logs()
		return p, err
	}
}

func unmarshal(c codec, body []byte, json bool) error {
	if json {
		return c.UnmarshalJSON(body)
	}
	return c.UnmarshalProto(body)
}

// encodeResponse encodes the answer to a request of which some items may have been rejected.
func encodeResponse(signal Signal, rejected int, json bool) ([]byte, error) {
	var c codec
	switch signal {
	case SignalTraces:
		c = tracesResponse(rejected)
	case SignalMetrics:
		c = metricsResponse(rejected)
	default:
		c = logsResponse(rejected)
	}
	if json {
		return c.MarshalJSON()
	}
	return c.MarshalProto()
}

const rejectedMessage = "rejected as asked for by a fault"

func tracesResponse(rejected int) ptraceotlp.ExportResponse {
	r := ptraceotlp.NewExportResponse()
	if rejected > 0 {
		r.PartialSuccess().SetRejectedSpans(int64(rejected))
		r.PartialSuccess().SetErrorMessage(rejectedMessage)
	}
	return r
}

func metricsResponse(rejected int) pmetricotlp.ExportResponse {
	r := pmetricotlp.NewExportResponse()
	if rejected > 0 {
		r.PartialSuccess().SetRejectedDataPoints(int64(rejected))
		r.PartialSuccess().SetErrorMessage(rejectedMessage)
	}
	return r
}

func logsResponse(rejected int) plogotlp.ExportResponse {
	r := plogotlp.NewExportResponse()
	if rejected > 0 {
		r.PartialSuccess().SetRejectedLogRecords(int64(rejected))
		r.PartialSuccess().SetErrorMessage(rejectedMessage)
	}
	return r
}

// items returns the number of spans, points or records.
func (p payload) items() int {
	switch p.signal {
	case SignalTraces:
		return p.traces.SpanCount()
	case SignalMetrics:
		return p.metrics.DataPointCount()
	default:
		return p.logs.LogRecordCount()
	}
}

// rejectFirst removes the first n items and returns how many there were to remove.
func (p payload) rejectFirst(n int) int {
	removed := 0
	reject := func() bool {
		if removed == n {
			return false
		}
		removed++
		return true
	}
	switch p.signal {
	case SignalTraces:
		for _, rs := range p.traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				ss.Spans().RemoveIf(func(ptrace.Span) bool { return reject() })
			}
		}
	case SignalMetrics:
		for _, rm := range p.metrics.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					rejectPoints(m, reject)
				}
			}
		}
	default:
		for _, rl := range p.logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				sl.LogRecords().RemoveIf(func(plog.LogRecord) bool { return reject() })
			}
		}
	}
	return removed
}

func rejectPoints(m pmetric.Metric, reject func() bool) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return reject() })
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(func(pmetric.NumberDataPoint) bool { return reject() })
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(pmetric.HistogramDataPoint) bool { return reject() })
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(pmetric.ExponentialHistogramDataPoint) bool {
			return reject()
		})
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(func(pmetric.SummaryDataPoint) bool { return reject() })
	case pmetric.MetricTypeEmpty:
	}
}
