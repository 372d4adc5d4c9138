// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// Payloads have 10, 20, … 100 spans, as an SDK sends them that exports at the end of an invocation.
	spanStep, mostSpans = 10, 100
	// mostAttributes is how many there are to choose from for each span. Spans of HTTP and database instrumentations have
	// about that many.
	mostAttributes = 8
	// payloadRounds is how often there is other content for each size: with less, the collector would compress data that
	// it has just seen.
	payloadRounds = 8
)

// payload is a request for OTLP, as protobuf.
type payload struct {
	spans int
	body  []byte
}

// payloads are the same in every run. Each span has so many attributes.
func payloads(attributes int) ([]payload, error) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is no secret
	var list []payload
	for range payloadRounds {
		for n := spanStep; n <= mostSpans; n += spanStep {
			request := ptraceotlp.NewExportRequestFromTraces(someTraces(random, n, attributes))
			body, err := request.MarshalProto()
			if err != nil {
				return nil, fmt.Errorf("encode the load: %w", err)
			}
			list = append(list, payload{spans: n, body: body})
		}
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}

// someTraces look like what a web service sends that asks a database and other services: traces of ten spans.
func someTraces(random *rand.Rand, spans, attributes int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	for _, attribute := range [][2]string{
		{"service.name", "checkout"}, {"service.version", "1.42.0"}, {"telemetry.sdk.language", "go"},
		{"telemetry.sdk.name", "opentelemetry"}, {"telemetry.sdk.version", "1.46.0"},
		{"deployment.environment.name", "production"}, {"cloud.provider", "aws"}, {"cloud.region", "eu-central-1"},
		{"faas.name", "checkout"}, {"faas.version", "$LATEST"},
	} {
		rs.Resource().Attributes().PutStr(attribute[0], attribute[1])
	}
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("example.com/checkout")
	ss.Scope().SetVersion("1.42.0")
	ss.Spans().EnsureCapacity(spans)
	const perTrace = 10
	at := time.Unix(1_800_000_000, 0)
	var trace pcommon.TraceID
	var root pcommon.SpanID
	for i := range spans {
		span := ss.Spans().AppendEmpty()
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], random.Uint64())
		if i%perTrace == 0 {
			binary.BigEndian.PutUint64(trace[:], random.Uint64())
			binary.BigEndian.PutUint64(trace[8:], random.Uint64())
			root = id
			span.SetName("POST /orders/{id}/payment")
			span.SetKind(ptrace.SpanKindServer)
			serverAttributes().put(span, attributes, random)
		} else {
			span.SetParentSpanID(root)
			span.SetName("SELECT orders")
			span.SetKind(ptrace.SpanKindClient)
			clientAttributes().put(span, attributes, random)
		}
		span.SetTraceID(trace)
		span.SetSpanID(id)
		at = at.Add(time.Duration(random.IntN(1_000_000)))
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(random.IntN(50_000_000)))))
	}
	return td
}

// attributeList is in the order in which attributes are left out, from the end.
type attributeList []func(pcommon.Map, *rand.Rand)

func text(key, value string) func(pcommon.Map, *rand.Rand) {
	return func(to pcommon.Map, _ *rand.Rand) { to.PutStr(key, value) }
}

// numbered makes another text each time.
func numbered(key, format string, below int) func(pcommon.Map, *rand.Rand) {
	return func(to pcommon.Map, random *rand.Rand) { to.PutStr(key, fmt.Sprintf(format, random.IntN(below))) }
}

func number(key string, from, below int) func(pcommon.Map, *rand.Rand) {
	return func(to pcommon.Map, random *rand.Rand) { to.PutInt(key, int64(from+random.IntN(below))) }
}

func serverAttributes() attributeList {
	return attributeList{
		text("http.request.method", "POST"),
		number("http.response.status_code", 200, 1),
		text("http.route", "/orders/{id}/payment"),
		numbered("url.path", "/orders/%d/payment", 1_000_000),
		text("url.scheme", "https"),
		numbered("client.address", "192.0.2.%d", 256),
		numbered("faas.invocation_id", "0000-%016x", 1<<60),
		text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
	}
}

func clientAttributes() attributeList {
	return attributeList{
		text("db.system.name", "postgresql"),
		text("server.address", "orders.db.example.com"),
		number("server.port", 5432, 1),
		text("db.operation.name", "SELECT"),
		text("db.namespace", "shop"),
		number("db.response.returned_rows", 0, 100),
		text("db.query.text", "SELECT id, customer, total FROM orders WHERE id = $1"),
		text("db.collection.name", "orders"),
	}
}

func (l attributeList) put(span ptrace.Span, n int, random *rand.Rand) {
	for _, attribute := range l[:n] {
		attribute(span.Attributes(), random)
	}
}

// spanSize is the mean of the bytes that a span takes in a request.
func spanSize(list []payload) float64 {
	spans, size := 0, 0
	for _, p := range list {
		spans, size = spans+p.spans, size+len(p.body)
	}
	return float64(size) / float64(spans)
}

var errNotTraces = errors.New("it is not an OTLP request for traces")

// countSpans counts without decoding what it counts, and without what the layer makes of Lambda's events.
func countSpans(body []byte) (spans int, err error) {
	// Of the request its resource_spans, of these the scope_spans, and of these the spans.
	err = eachField(body, 1, func(resource []byte) error {
		return eachField(resource, 2, func(scope []byte) error {
			own := false
			if err := eachField(scope, 1, func(about []byte) error {
				return eachField(about, 1, func(name []byte) error {
					own = bytes.HasSuffix(name, []byte(layerScope))
					return nil
				})
			}); err != nil || own {
				return err
			}
			return eachField(scope, 2, func([]byte) error {
				spans++
				return nil
			})
		})
	})
	return spans, err
}

// eachField calls f with the content of each field of a message that has the number and is bytes or a message.
func eachField(message []byte, wanted protowire.Number, f func(content []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errNotTraces
		}
		message = message[n:]
		if number != wanted || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return errNotTraces
			}
			message = message[n:]
			continue
		}
		content, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return errNotTraces
		}
		message = message[n:]
		if err := f(content); err != nil {
			return err
		}
	}
	return nil
}
