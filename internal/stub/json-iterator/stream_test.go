// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"bytes"
	"math"
	"testing"
)

func TestStream(t *testing.T) {
	t.Parallel()
	a := new(API)
	stream := a.BorrowStream(nil)
	stream.WriteObjectStart()
	stream.WriteObjectField("a\n")
	stream.WriteArrayStart()
	stream.WriteBool(true)
	stream.WriteMore()
	stream.WriteBool(false)
	stream.WriteMore()
	stream.WriteInt32(math.MinInt32)
	stream.WriteMore()
	stream.WriteUint32(math.MaxUint32)
	stream.WriteMore()
	if n, err := stream.Write([]byte(`"7"`)); n != 3 || err != nil {
		t.Error(n, err)
	}
	stream.WriteArrayEnd()
	stream.WriteObjectEnd()
	const want = `{"a\n":[true,false,-2147483648,4294967295,"7"]}`
	if got := string(stream.Buffer()); got != want || stream.Error != nil {
		t.Error(got, stream.Error)
	}
	stream.Reset(nil)
	if len(stream.Buffer()) != 0 {
		t.Error("the stream is not empty")
	}
	a.ReturnStream(stream)
	if stream = a.BorrowStream(new(bytes.Buffer)); stream.Error == nil {
		t.Error("a writer is taken, though nothing is written to it")
	}
	a.ReturnStream(stream)
	if stream.Error != nil {
		t.Error(stream.Error)
	}
}

func TestWriteString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         `""`,
		"plain":                    `"plain"`,
		"\"\\/":                    `"\"\\/"`,
		"a\nb\rc\td":               `"a\nb\rc\td"`,
		"\x00\b\f\x1f\x7f":         "\"\\u0000\\u0008\\u000c\\u001f\x7f\"",
		"<é€😀\u2028>&\xff":         "\"<é€😀\u2028>&\xff\"",
		"0123456789\"0123456789\"": `"0123456789\"0123456789\""`,
	} {
		stream := ConfigFastest.BorrowStream(nil)
		stream.WriteString(text)
		if got := string(stream.Buffer()); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		ConfigFastest.ReturnStream(stream)
	}
}

func TestWriteFloat64(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		number float64
		want   string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "-0"},
		{1, "1"},
		{-0.5, "-0.5"},
		{0.1, "0.1"},
		{0.30000000000000004, "0.30000000000000004"},
		{1e-6, "0.000001"},
		{9.9e-7, "9.9e-07"},
		{123456789012345678, "123456789012345680"},
		{1e21, "1e+21"},
		{-1e21, "-1e+21"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		{math.SmallestNonzeroFloat64, "5e-324"},
		{math.Inf(1), ""},
		{math.Inf(-1), ""},
		{math.NaN(), ""},
	} {
		stream := ConfigFastest.BorrowStream(nil)
		stream.WriteFloat64(c.number)
		if got := string(stream.Buffer()); got != c.want || (c.want == "") != (stream.Error != nil) {
			t.Errorf("%v: %s, %v, want %s", c.number, got, stream.Error, c.want)
		}
		ConfigFastest.ReturnStream(stream)
	}
}
