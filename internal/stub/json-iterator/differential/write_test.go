// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	original "example.com/original/json-iterator"
	standin "github.com/json-iterator/go"
)

// writer is what both streams have.
type writer interface {
	Write(p []byte) (int, error)
	WriteObjectStart()
	WriteObjectField(field string)
	WriteObjectEnd()
	WriteArrayStart()
	WriteArrayEnd()
	WriteMore()
	WriteBool(val bool)
	WriteInt32(val int32)
	WriteUint32(val uint32)
	WriteFloat64(val float64)
	WriteString(s string)
}

// write writes one of everything.
func write(w writer, text string, number uint64) {
	w.WriteObjectStart()
	w.WriteObjectField(text)
	w.WriteArrayStart()
	w.WriteString(text)
	w.WriteMore()
	w.WriteInt32(int32(number))
	w.WriteUint32(uint32(number))
	w.WriteFloat64(math.Float64frombits(number))
	w.WriteFloat64(float64(int64(number)) / 1000)
	w.WriteBool(number%2 == 0)
	_, _ = w.Write([]byte(text))
	w.WriteArrayEnd()
	w.WriteObjectEnd()
}

func compareWritten(t *testing.T, text string, number uint64) {
	t.Helper()
	got, want := standin.ConfigFastest.BorrowStream(nil), original.ConfigFastest.BorrowStream(nil)
	defer standin.ConfigFastest.ReturnStream(got)
	defer original.ConfigFastest.ReturnStream(want)
	write(got, text, number)
	write(want, text, number)
	if !bytes.Equal(got.Buffer(), want.Buffer()) {
		t.Fatalf("%q, %d: %s, the original: %s", text, number, got.Buffer(), want.Buffer())
	}
	if (got.Error != nil) != (want.Error != nil) {
		t.Fatalf("%q, %d: %v, the original: %v", text, number, got.Error, want.Error)
	}
}

func FuzzWrite(f *testing.F) {
	for _, text := range []string{
		"", "a", "\"quoted\" \\ \b\f\n\r\t\x00\x1f\x7f", "<é€😀\u2028>&\xff", "0123456789abcdef\x01",
	} {
		f.Add(text, uint64(0))
	}
	for _, number := range []float64{0, -1, 1e-6, 9.9e-7, 1e21, 9.99e20, math.MaxFloat64, math.Inf(1), math.NaN(), 0.1} {
		f.Add("", math.Float64bits(number))
	}
	f.Fuzz(compareWritten)
}

func TestRandomWritten(t *testing.T) {
	t.Parallel()
	g := &generator{Rand: rand.New(rand.NewPCG(3, 4))}
	for range 20_000 {
		compareWritten(t, string(g.mutate(g.text(nil))), g.Uint64()>>g.IntN(64))
	}
}
