// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// What the benchmarked delivery has in the places that change from one invocation to the next.
const (
	benchPrevious = "11111111-9cdd-4145-b1f6-7c50ef8a2a36"
	benchCurrent  = "22222222-9cdd-4145-b1f6-7c50ef8a2a36"
	benchTime     = "2026-10-08T07:30:28.000Z"
)

// benchDelivery is what Lambda posts in each invocation of a busy function: the report of the invocation before, and
// the start, the lines and the end of this one.
func benchDelivery() []byte {
	const (
		tracing = `"tracing":{"spanId":"108979b08b511605","type":"X-Amzn-Trace-Id","value":` +
			`"Root=1-6b024abe-093eb403b3110a7188a0e0b6;Parent=77ccd14bad06096d;Sampled=1"}`
		spans = `"spans":[{"name":"responseLatency","start":"` + benchTime + `","durationMs":5.28},` +
			`{"name":"responseDuration","start":"` + benchTime + `","durationMs":0.061},` +
			`{"name":"runtimeOverhead","start":"` + benchTime + `","durationMs":0.645}]`
		slog = `"{\"time\":\"` + benchTime + `\",\"level\":\"INFO\",\"msg\":\"%s\",\"order.id\":\"` + benchCurrent + `\"}\n"`
	)
	body := []byte{'['}
	for i, event := range [][2]string{
		{"platform.report", `{"requestId":"` + benchPrevious + `","status":"success","metrics":{"durationMs":22.579,` +
			`"billedDurationMs":23,"memorySizeMB":512,"maxMemoryUsedMB":39},"spans":[{"name":"extensionOverhead","start":"` +
			benchTime + `","durationMs":16.594}],` + tracing + `}`},
		{"platform.start", `{"requestId":"` + benchCurrent + `","functionArn":` +
			`"arn:aws:lambda:us-east-1:123456789012:function:function","version":"$LATEST",` + tracing + `}`},
		{"function", fmt.Sprintf(slog, "order received")},
		{"function", fmt.Sprintf(slog, "order stored")},
		{"platform.runtimeDone", `{"requestId":"` + benchCurrent + `","status":"success","metrics":{"durationMs":5.986,` +
			`"producedBytes":97},` + spans + `,` + tracing + `}`},
	} {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"time":%q,"type":%q,"record":%s}`, benchTime, event[0], event[1])
	}
	return append(body, ']')
}

// places returns where a text begins in a body.
func places(body []byte, text string) (all []int) {
	for from := 0; ; {
		i := bytes.Index(body[from:], []byte(text))
		if i < 0 {
			return all
		}
		all = append(all, from+i)
		from += i + len(text)
	}
}

// BenchmarkDelivery is what the receiver does in a warm invocation: from Lambda's news that it begins, and the body that
// Lambda posts, to what the pipelines of all three signals get.
func BenchmarkDelivery(b *testing.B) {
	for _, sdk := range []bool{true, false} {
		b.Run(map[bool]string{true: "with an SDK", false: "without an SDK"}[sdk], func(b *testing.B) {
			b.Setenv("AWS_LAMBDA_RUNTIME_API", "")
			factory := lambdaextension.NewFactory()
			function, err := factory.Create(b.Context(), extensiontest.NewNopSettings(component.MustNewType("lambda")),
				factory.CreateDefaultConfig())
			require.NoError(b, err)
			r := newRigWith(b, rigSettings{
				function: function.(lambdaextension.Lifecycle),
				logs:     consumertest.NewNop(), traces: consumertest.NewNop(), metrics: consumertest.NewNop(),
			})
			template := benchDelivery()
			times, previous, current := places(template, benchTime), places(template, benchPrevious), places(template, benchCurrent)
			at, err := time.Parse(time.RFC3339, benchTime)
			require.NoError(b, err)
			n := 0
			set := func(body []byte, all []int, text []byte) {
				for _, i := range all {
					copy(body[i:], text)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				n++
				body := bytes.Clone(template)
				at = at.Add(30 * time.Millisecond)
				var text [32]byte
				set(body, times, at.AppendFormat(text[:0], "2006-01-02T15:04:05.000Z07:00"))
				set(body, previous, fmt.Appendf(text[:0], "%08x", n-1))
				id := fmt.Appendf(text[:0], "%08x", n)
				set(body, current, id)
				r.invoke()
				if sdk {
					span := sdkSpan(pcommon.TraceID(bytes.Repeat(id[:8], 2)), string(id)+benchCurrent[8:])
					r.observe(function.(lambdaextension.Lifecycle), span)
				}
				batch, err := telemetryapi.Decode(body)
				if err != nil || len(batch.Events) != 5 {
					b.Fatal(err, len(batch.Events))
				}
				r.subscriber.Consume(b.Context(), batch.Events)
				if n == 1 {
					r.joined[0].Drain(b.Context()) // the next export of metrics is a minute away
				}
			}
			b.StopTimer()
			require.NoError(b, r.receiver.Shutdown(b.Context()))
			require.Empty(b, r.Health().Counts())
		})
	}
}

func (*rig) observe(function lambdaextension.Lifecycle, td ptrace.Traces) {
	function.ObserveTraces(td)()
}
