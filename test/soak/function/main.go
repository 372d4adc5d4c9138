// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program function is the function of the soak. It sends what the event says over OTLP/HTTP, without an SDK, so that
// thousands of invocations cost little: one request for each signal, with every item unlike any other.
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelcol-lambda/otelcol-lambda/test/soak/work"
)

func main() {
	f := &function{
		endpoint: os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"),
		client:   &http.Client{},
		stdout:   os.Stdout,
		exit:     func() { os.Exit(1) }, //nolint:forbidigo // the event wants a crash
	}
	lambda.Start(f.handle)
}

// sendTimeout is longer than any answer of a healthy collector takes: one that does not answer shows as a request that
// the tap saw break off.
const sendTimeout = 2 * time.Second

var errAsked = errors.New("the event asks for an error")

type function struct {
	endpoint string
	client   *http.Client
	stdout   io.Writer
	exit     func()
}

func (f *function) handle(ctx context.Context, e work.Event) (work.Receipt, error) {
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok {
		return work.Receipt{}, errors.New("this is no invocation")
	}
	if err := f.send(ctx, e, lc.AwsRequestID); err != nil {
		return work.Receipt{}, err
	}
	padding := strings.Repeat("-", e.LineBytes)
	for i := range e.Lines {
		if _, err := fmt.Fprintf(f.stdout, "line %d of %s %s\n", i, lc.AwsRequestID, padding); err != nil {
			return work.Receipt{}, err
		}
	}
	time.Sleep(time.Duration(e.SleepMS) * time.Millisecond)
	switch e.End {
	case work.Fail:
		return work.Receipt{}, errAsked
	case work.Hang:
		select {}
	case work.Crash:
		f.exit()
	case work.Succeed:
	}
	return work.Receipt{Number: e.Number}, nil
}

// send makes a request for each signal. A refusal is no error: what the collector has not taken is not its concern.
func (f *function) send(ctx context.Context, e work.Event, requestID string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	trace, err := traceID(requestID)
	if err != nil {
		return err
	}
	padding := strings.Repeat("x", e.ItemBytes)
	for _, signal := range []struct {
		name  string
		items int
		body  func() ([]byte, error)
	}{
		{"traces", e.Spans, ptraceotlp.NewExportRequestFromTraces(spans(trace, e.Spans, padding)).MarshalProto},
		{"metrics", e.Points, pmetricotlp.NewExportRequestFromMetrics(points(requestID, e.Points, padding)).MarshalProto},
		{"logs", e.Logs, plogotlp.NewExportRequestFromLogs(logs(trace, requestID, e.Logs, padding)).MarshalProto},
	} {
		if signal.items == 0 {
			continue
		}
		body, err := signal.body()
		if err == nil {
			err = f.post(ctx, signal.name, body)
		}
		if err != nil {
			return fmt.Errorf("send %s: %w", signal.name, err)
		}
	}
	return nil
}

func (f *function) post(ctx context.Context, signal string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoint+"/v1/"+signal, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// A connection is used again only when its answer has been read.
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// traceID makes one of a request id, which is a UUID.
func traceID(requestID string) (id pcommon.TraceID, err error) {
	_, err = hex.Decode(id[:], []byte(strings.ReplaceAll(requestID, "-", "")))
	return id, err
}

func spanID(i int) (id pcommon.SpanID) {
	id[0], id[5], id[6], id[7] = 1, byte(i>>16), byte(i>>8), byte(i)
	return id
}

func origin(resource pcommon.Resource, scope pcommon.InstrumentationScope) {
	resource.Attributes().PutStr("service.name", "soak")
	scope.SetName(work.ScopeName)
}

func now() pcommon.Timestamp { return pcommon.NewTimestampFromTime(time.Now()) }

func spans(trace pcommon.TraceID, n int, padding string) ptrace.Traces {
	all := ptrace.NewTraces()
	rs := all.ResourceSpans().AppendEmpty()
	ss := rs.ScopeSpans().AppendEmpty()
	origin(rs.Resource(), ss.Scope())
	ss.Spans().EnsureCapacity(n)
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(trace)
		s.SetSpanID(spanID(i))
		s.SetName("work")
		s.SetStartTimestamp(now())
		s.SetEndTimestamp(now())
		s.Attributes().PutStr("padding", padding)
	}
	return all
}

func points(requestID string, n int, padding string) pmetric.Metrics {
	all := pmetric.NewMetrics()
	rm := all.ResourceMetrics().AppendEmpty()
	sm := rm.ScopeMetrics().AppendEmpty()
	origin(rm.Resource(), sm.Scope())
	gauge := sm.Metrics().AppendEmpty()
	gauge.SetName("work.done")
	data := gauge.SetEmptyGauge().DataPoints()
	for i := range n {
		p := data.AppendEmpty()
		p.SetTimestamp(now())
		p.SetIntValue(int64(i))
		p.Attributes().PutStr("faas.invocation_id", requestID)
		p.Attributes().PutStr("padding", padding)
	}
	return all
}

func logs(trace pcommon.TraceID, requestID string, n int, padding string) plog.Logs {
	all := plog.NewLogs()
	rl := all.ResourceLogs().AppendEmpty()
	sl := rl.ScopeLogs().AppendEmpty()
	origin(rl.Resource(), sl.Scope())
	for i := range n {
		r := sl.LogRecords().AppendEmpty()
		r.SetTimestamp(now())
		r.SetTraceID(trace)
		r.Body().SetStr(padding)
		r.Attributes().PutStr("faas.invocation_id", requestID)
		r.Attributes().PutInt("number", int64(i))
	}
	return all
}
