// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// identityBytes is how much of the SHA-256 an identity keeps: far more than chance can collide.
const identityBytes = 16

func spanIdentity(s ptrace.Span) string {
	return string(SignalTraces) + "/" + s.TraceID().String() + "/" + s.SpanID().String()
}

func logIdentity(resource pcommon.Map, scope pcommon.InstrumentationScope, lr plog.LogRecord) string {
	d := newDigest()
	d.origin(resource, scope)
	d.number(uint64(lr.Timestamp()))
	d.number(uint64(lr.ObservedTimestamp()))
	d.value(lr.Body())
	d.attributes(lr.Attributes())
	traceID, spanID := lr.TraceID(), lr.SpanID()
	d.bytes(traceID[:])
	d.bytes(spanID[:])
	return d.identity(SignalLogs)
}

// pointIdentity takes the value as a function, because every type of metric has its own.
func pointIdentity(
	resource pcommon.Map, scope pcommon.InstrumentationScope, m pmetric.Metric, p dataPoint, value func(*digest),
) string {
	d := newDigest()
	d.origin(resource, scope)
	d.text(m.Name())
	d.number(uint64(m.Type()))
	d.attributes(p.Attributes())
	d.number(uint64(p.StartTimestamp()))
	d.number(uint64(p.Timestamp()))
	value(d)
	return d.identity(SignalMetrics)
}

// dataPoint is what the points of all metric types have in common.
type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// digest hashes values so that no two sequences of values read the same: everything of variable length goes in with
// its length.
type digest struct{ hash.Hash }

func newDigest() *digest { return &digest{sha256.New()} }

func (d *digest) identity(signal Signal) string {
	return string(signal) + "/" + hex.EncodeToString(d.Sum(nil)[:identityBytes])
}

func (d *digest) number(n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	_, _ = d.Write(b[:])
}

func (d *digest) float(f float64) { d.number(math.Float64bits(f)) }

func (d *digest) bytes(b []byte) {
	d.number(uint64(len(b)))
	_, _ = d.Write(b)
}

func (d *digest) text(s string) { d.bytes([]byte(s)) }

func (d *digest) origin(resource pcommon.Map, scope pcommon.InstrumentationScope) {
	// Only these two: a collector may add other attributes between tap and sink.
	for _, key := range []string{"service.name", "service.instance.id"} {
		v, ok := resource.Get(key)
		if !ok {
			v = pcommon.NewValueEmpty()
		}
		d.value(v)
	}
	d.text(scope.Name())
	d.text(scope.Version())
	d.attributes(scope.Attributes())
}

func (d *digest) attributes(m pcommon.Map) {
	keys := make([]string, 0, m.Len())
	for k := range m.All() {
		keys = append(keys, k)
	}
	// Attributes are a set: whoever copies them may change their order.
	slices.Sort(keys)
	d.number(uint64(len(keys)))
	for _, k := range keys {
		v, _ := m.Get(k)
		d.text(k)
		d.value(v)
	}
}

func (d *digest) value(v pcommon.Value) {
	d.number(uint64(v.Type()))
	switch v.Type() {
	case pcommon.ValueTypeStr:
		d.text(v.Str())
	case pcommon.ValueTypeBool:
		if v.Bool() {
			d.number(1)
		} else {
			d.number(0)
		}
	case pcommon.ValueTypeInt:
		d.number(uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		d.float(v.Double())
	case pcommon.ValueTypeBytes:
		d.bytes(v.Bytes().AsRaw())
	case pcommon.ValueTypeMap:
		d.attributes(v.Map())
	case pcommon.ValueTypeSlice:
		d.number(uint64(v.Slice().Len()))
		for _, e := range v.Slice().All() {
			d.value(e)
		}
	case pcommon.ValueTypeEmpty:
	}
}

func (d *digest) numberPoint(p pmetric.NumberDataPoint) {
	d.number(uint64(p.ValueType()))
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		d.number(uint64(p.IntValue()))
	case pmetric.NumberDataPointValueTypeDouble:
		d.float(p.DoubleValue())
	case pmetric.NumberDataPointValueTypeEmpty:
	}
}

func (d *digest) floats(s pcommon.Float64Slice) {
	d.number(uint64(s.Len()))
	for _, f := range s.All() {
		d.float(f)
	}
}

func (d *digest) numbers(s pcommon.UInt64Slice) {
	d.number(uint64(s.Len()))
	for _, n := range s.All() {
		d.number(n)
	}
}

func (d *digest) histogramPoint(p pmetric.HistogramDataPoint) {
	d.number(p.Count())
	d.float(p.Sum())
	d.float(p.Min())
	d.float(p.Max())
	d.floats(p.ExplicitBounds())
	d.numbers(p.BucketCounts())
}

func (d *digest) exponentialPoint(p pmetric.ExponentialHistogramDataPoint) {
	d.number(p.Count())
	d.float(p.Sum())
	d.float(p.Min())
	d.float(p.Max())
	d.number(uint64(p.Scale()))
	d.number(p.ZeroCount())
	d.float(p.ZeroThreshold())
	for _, b := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		d.number(uint64(b.Offset()))
		d.numbers(b.BucketCounts())
	}
}

func (d *digest) summaryPoint(p pmetric.SummaryDataPoint) {
	d.number(p.Count())
	d.float(p.Sum())
	d.number(uint64(p.QuantileValues().Len()))
	for _, q := range p.QuantileValues().All() {
		d.float(q.Quantile())
		d.float(q.Value())
	}
}
