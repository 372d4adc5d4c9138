// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package faasmetrics

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

func TestExplicit(t *testing.T) {
	t.Parallel()
	var h histogram
	bounds := []float64{1, 2.5}
	for _, v := range []float64{0, 1, 1.5, 2.5, 2.5000001, 900} {
		h.addExplicit(v, bounds)
	}
	require.Equal(t, []uint64{2, 2, 2}, h.buckets, "a bound belongs to the bucket below it")
	require.EqualValues(t, 6, h.count)
	require.Zero(t, h.min)
	require.InDelta(t, 900, h.max, 0)

	h.reset(true)
	h.addExplicit(3, bounds)
	require.Equal(t, []uint64{0, 0, 1}, h.buckets)
	require.InDelta(t, 3, h.min, 0)
	require.InDelta(t, 3, h.sum, 0)
}

// distributions make values as they come in practice, and as they may.
func distributions(r *rand.Rand) map[string]func() float64 {
	return map[string]func() float64{
		"durations":     func() float64 { return math.Exp(r.NormFloat64()) / 10 },
		"same":          func() float64 { return 0.011185 },
		"narrow":        func() float64 { return 1 + r.Float64()/1e6 },
		"powers of two": func() float64 { return math.Ldexp(1, r.IntN(60)-30) },
		"far apart":     func() float64 { return math.Ldexp(1, r.IntN(2000)-1000) },
		"zeros":         func() float64 { return float64(r.IntN(3)) },
		"bytes":         func() float64 { return float64(r.IntN(1 << 33)) },
		"anything":      func() float64 { return math.Ldexp(r.Float64(), r.IntN(2000)-1000) },
	}
}

// TestExponentialIsThatOfTheSDK holds the buckets against those of OpenTelemetry's SDK, which has the same limits.
func TestExponentialIsThatOfTheSDK(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for name, value := range distributions(r) {
		for _, n := range []int{1, 2, 10, 1000} {
			reader := metric.NewManualReader(metric.WithAggregationSelector(func(metric.InstrumentKind) metric.Aggregation {
				return metric.AggregationBase2ExponentialHistogram{MaxSize: maxBuckets, MaxScale: maxScale}
			}))
			provider := metric.NewMeterProvider(metric.WithReader(reader))
			instrument, err := provider.Meter("test").Float64Histogram("test")
			require.NoError(t, err)

			var h histogram
			for range n {
				v := value()
				instrument.Record(t.Context(), v)
				h.addExponential(v)
			}
			var collected metricdata.ResourceMetrics
			require.NoError(t, reader.Collect(t.Context(), &collected))
			data, ok := collected.ScopeMetrics[0].Metrics[0].Data.(metricdata.ExponentialHistogram[float64])
			require.True(t, ok)
			want := data.DataPoints[0]

			require.Equal(t, want.Count, h.count, name)
			require.Equal(t, want.ZeroCount, h.zeros, name)
			minimum, _ := want.Min.Value()
			maximum, _ := want.Max.Value()
			require.InDelta(t, minimum, h.min, 0, name)
			require.InDelta(t, maximum, h.max, 0, name)
			require.InEpsilon(t, 1+want.Sum, 1+h.sum, 1e-12, name)
			if want.Count == want.ZeroCount {
				continue
			}
			require.EqualValues(t, want.Scale, h.scale, name)
			require.EqualValues(t, want.PositiveBucket.Offset, h.offset, name)
			require.Equal(t, want.PositiveBucket.Counts, h.buckets, name)
		}
	}
}

// TestExponentialBuckets checks that values are in the buckets that OpenTelemetry's data model puts them into.
func TestExponentialBuckets(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for name, value := range distributions(r) {
		var h histogram
		for range 1000 {
			v := value()
			h.addExponential(v)
			require.LessOrEqual(t, len(h.buckets), maxBuckets, name)
			if v == 0 {
				continue
			}
			index := float64(exponentialIndex(v, h.scale))
			width := math.Ldexp(1, -h.scale)
			require.GreaterOrEqual(t, math.Log2(v), (index-1e-6)*width-1e-9, name)
			require.LessOrEqual(t, math.Log2(v), (index+1+1e-6)*width+1e-9, name)
		}
		sum := h.zeros
		for _, n := range h.buckets {
			sum += n
		}
		require.Equal(t, h.count, sum, name)

		h.reset(false)
		h.addExponential(1)
		require.Equal(t, []uint64{1}, h.buckets, name)
		require.Equal(t, maxScale, h.scale, name)
	}
}

func TestExponentialOutput(t *testing.T) {
	t.Parallel()
	for _, delta := range []bool{false, true} {
		a := New(Settings{Start: testStart, Exponential: true, Delta: delta})
		for i := range 3 {
			a.Observe(eventAt(testNow, telemetryapi.EventRuntimeDone, `{"requestId":"`+string(rune('a'+i))+
				`","metrics":{"durationMs":`+[]string{"1", "500", "900000"}[i]+`,"producedBytes":0}}`))
		}
		metrics := collect(t, a, testNow)
		duration := named(t, metrics, "faas.invoke_duration")
		point := duration.ExponentialHistogram().DataPoints().At(0)
		require.EqualValues(t, 3, point.Count())
		require.InDelta(t, 900.501, point.Sum(), 1e-9)
		require.InDelta(t, 0.001, point.Min(), 0)
		require.InDelta(t, 900, point.Max(), 0)
		require.Equal(t, testStart, point.StartTimestamp().AsTime())
		require.Equal(t, testNow, point.Timestamp().AsTime())
		require.EqualValues(t, 3, point.Scale())
		require.EqualValues(t, exponentialIndex(0.001, 3), point.Positive().Offset())
		require.Equal(t, exponentialIndex(900, 3)-exponentialIndex(0.001, 3)+1, point.Positive().BucketCounts().Len())
		size := named(t, metrics, "aws.lambda.response_size").ExponentialHistogram().DataPoints().At(0)
		require.EqualValues(t, 3, size.ZeroCount())
		want := pmetric.AggregationTemporalityCumulative
		if delta {
			want = pmetric.AggregationTemporalityDelta
		}
		require.Equal(t, want, duration.ExponentialHistogram().AggregationTemporality())
	}
}

func BenchmarkExponential(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	values := make([]float64, 1024)
	for i := range values {
		values[i] = math.Exp(r.NormFloat64())
	}
	var h histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.addExponential(values[i%len(values)])
	}
}
