// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func borrow(t *testing.T, data string) *Iterator {
	t.Helper()
	iter := ConfigFastest.BorrowIterator([]byte(data))
	t.Cleanup(func() { ConfigFastest.ReturnIterator(iter) })
	return iter
}

// succeeds is whether iter has met nothing but the end.
func succeeds(iter *Iterator) bool { return iter.Error == nil || errors.Is(iter.Error, io.EOF) }

func TestReadString(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`""`:                                "",
		`null`:                              "",
		" \t\r\n\"a\"":                      "a",
		`"\"\\\/\b\f\n\r\t"`:                "\"\\/\b\f\n\r\t",
		`"x\u0041\u00e9\u20AC\u0000"`:       "xAé€\x00",
		`"\ud83d\ude00"`:                    "😀",
		`"\ud83d"`:                          "\ufffd",
		`"\ude00x"`:                         "\ufffdx",
		`"\ud83d\u0041"`:                    "\ufffdA",
		`"\ud83d\n"`:                        "\ufffd\n",
		`"\ud83d\ud83d\ude00"`:              "\ufffd\ufffd\ufffd",
		"\"é\xff\xed\xa0\x80\x7f\"":         "é\xff\xed\xa0\x80\x7f",
		"\"\\n\x01\"":                       "\n\x01",
		`"0123456789abcdef\"012345678"`:     `0123456789abcdef"012345678`,
		`"` + strings.Repeat("x", 99) + `"`: strings.Repeat("x", 99),
	} {
		iter := borrow(t, data+" 7")
		if got := iter.ReadString(); got != want || iter.Error != nil {
			t.Errorf("%s: %q, %v", data, got, iter.Error)
		}
		if got := iter.ReadInt32(); got != 7 {
			t.Errorf("after %s: %d, %v", data, got, iter.Error)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data string
		read func(*Iterator) any
		want any
	}{
		{"-2147483648", func(i *Iterator) any { return i.ReadInt32() }, int32(math.MinInt32)},
		{"2147483647", func(i *Iterator) any { return i.ReadInt32() }, int32(math.MaxInt32)},
		{"4294967295", func(i *Iterator) any { return i.ReadUint32() }, uint32(math.MaxUint32)},
		{"-9223372036854775808", func(i *Iterator) any { return i.ReadInt64() }, int64(math.MinInt64)},
		{"9223372036854775807", func(i *Iterator) any { return i.ReadInt64() }, int64(math.MaxInt64)},
		{"18446744073709551615", func(i *Iterator) any { return i.ReadUint64() }, uint64(math.MaxUint64)},
		{"0", func(i *Iterator) any { return i.ReadUint64() }, uint64(0)},
		{"-0", func(i *Iterator) any { return i.ReadInt64() }, int64(0)},
		{"0.1", func(i *Iterator) any { return i.ReadFloat64() }, 0.1},
		{"-12345678.9012345", func(i *Iterator) any { return i.ReadFloat64() }, -12345678.9012345},
		{"9007199254740993", func(i *Iterator) any { return i.ReadFloat64() }, 9007199254740992.0},
		{"0.30000000000000004", func(i *Iterator) any { return i.ReadFloat64() }, 0.30000000000000004},
		{"1.7976931348623157e+308", func(i *Iterator) any { return i.ReadFloat64() }, math.MaxFloat64},
		{"5E-324", func(i *Iterator) any { return i.ReadFloat64() }, math.SmallestNonzeroFloat64},
		{"1e-400", func(i *Iterator) any { return i.ReadFloat64() }, 0.0},
		{"16777217", func(i *Iterator) any { return i.ReadFloat32() }, float32(16777216)},
		{"3.14", func(i *Iterator) any { return i.ReadFloat32() }, float32(3.14)},
	} {
		for _, after := range []string{"", " ", ",", "]", "}", "\r"} {
			iter := borrow(t, " "+c.data+after)
			if iter.WhatIsNext() != NumberValue {
				t.Errorf("%s is no number", c.data)
			}
			if got := c.read(iter); got != c.want || !succeeds(iter) {
				t.Errorf("%q: %v, %v; want %v", c.data+after, got, iter.Error, c.want)
			}
			if atEnd := after == "" && c.data != "0" && c.data != "-0"; atEnd != (iter.Error != nil) {
				t.Errorf("%q: %v", c.data+after, iter.Error)
			}
		}
	}
}

// Each way to read it fails, and says where.
func TestNotANumber(t *testing.T) {
	t.Parallel()
	reads := map[string]func(*Iterator){
		"ReadInt32":   func(i *Iterator) { i.ReadInt32() },
		"ReadUint32":  func(i *Iterator) { i.ReadUint32() },
		"ReadInt64":   func(i *Iterator) { i.ReadInt64() },
		"ReadUint64":  func(i *Iterator) { i.ReadUint64() },
		"ReadFloat32": func(i *Iterator) { i.ReadFloat32() },
		"ReadFloat64": func(i *Iterator) { i.ReadFloat64() },
		"Skip":        (*Iterator).Skip,
	}
	for _, data := range []string{
		"", " ", "-", "+1", "--1", "- 1", "01", "-01", "1.", "1.e5", ".5", "1e", "1e+", "1x", "1_0", "0x1", "1.5.5",
		"1e5.5", "1-",
		"NaN", "Infinity", "\x00", ":",
	} {
		for operation, read := range reads {
			iter := borrow(t, data)
			read(iter)
			if succeeds(iter) || !strings.HasPrefix(iter.Error.Error(), operation+": ") ||
				!strings.Contains(iter.Error.Error(), " at byte ") {
				t.Errorf("%s of %q: %v", operation, data, iter.Error)
			}
		}
	}
}

func TestNumberOutOfRange(t *testing.T) {
	t.Parallel()
	for operation, c := range map[string]struct {
		read func(*Iterator)
		data []string
	}{
		"ReadInt32":   {func(i *Iterator) { i.ReadInt32() }, []string{"2147483648", "-2147483649", "1.0", "1e3"}},
		"ReadUint32":  {func(i *Iterator) { i.ReadUint32() }, []string{"4294967296", "10000000000", "-1", "1.0"}},
		"ReadInt64":   {func(i *Iterator) { i.ReadInt64() }, []string{"9223372036854775808", "-9223372036854775809"}},
		"ReadUint64":  {func(i *Iterator) { i.ReadUint64() }, []string{"18446744073709551616", "40000000000000000000"}},
		"ReadFloat32": {func(i *Iterator) { i.ReadFloat32() }, []string{"1e39", "-1e39"}},
		"ReadFloat64": {func(i *Iterator) { i.ReadFloat64() }, []string{"1e309", "-1e309"}},
	} {
		for _, data := range c.data {
			iter := borrow(t, data+" ")
			c.read(iter)
			if succeeds(iter) {
				t.Errorf("%s of %s does not fail", operation, data)
			}
		}
	}
	iter := borrow(t, "1e309 ")
	if iter.Skip(); iter.Error != nil {
		t.Errorf("Skip: %v", iter.Error)
	}
}

func TestReadBool(t *testing.T) {
	t.Parallel()
	iter := borrow(t, `[true, false]`)
	for i := 0; iter.ReadArray(); i++ {
		if iter.ReadBool() != (i == 0) {
			t.Errorf("element %d is wrong", i)
		}
	}
	if iter.Error != nil {
		t.Error(iter.Error)
	}
	for _, data := range []string{"", "tru", "trux", "fals", "null", "1", `"true"`} {
		iter := borrow(t, data)
		if iter.ReadBool() || succeeds(iter) {
			t.Errorf("%q: %v", data, iter.Error)
		}
	}
}

func TestReadStringAsSlice(t *testing.T) {
	t.Parallel()
	iter := borrow(t, ` "AQI=" "a\/" "x`)
	for _, want := range []string{"AQI=", `a\/`} {
		if got := iter.ReadStringAsSlice(); string(got) != want || cap(got) != len(want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if iter.Error != nil {
		t.Error(iter.Error)
	}
	if got := iter.ReadStringAsSlice(); got != nil || succeeds(iter) {
		t.Errorf("%q, %v", got, iter.Error)
	}
	iter = borrow(t, "null")
	if iter.ReadStringAsSlice(); succeeds(iter) {
		t.Error("null is no string here")
	}
}

// read goes through arrays and objects, and returns what it finds with brackets.
func read(iter *Iterator) string {
	var text strings.Builder
	readTo(&text, iter)
	return text.String()
}

func readTo(text *strings.Builder, iter *Iterator) {
	switch iter.next() {
	case '[':
		text.WriteByte('[')
		for iter.ReadArray() {
			readTo(text, iter)
			text.WriteByte(';')
		}
		text.WriteByte(']')
	case '{':
		text.WriteByte('{')
		for f := iter.ReadObject(); f != ""; f = iter.ReadObject() {
			text.WriteString(f + "=")
			readTo(text, iter)
			text.WriteByte(';')
		}
		text.WriteByte('}')
	case '"':
		text.WriteString(iter.ReadString())
	default:
		iter.Skip()
		text.WriteByte('_')
	}
}

func TestArraysAndObjects(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`[]`:                                 "[]",
		` [ ] `:                              "[]",
		`{}`:                                 "{}",
		`[ "a" , ["b",[]],{}]`:               "[a;[b;[];];{};]",
		"{\"a\":\"b\" ,\n\"c\" : {\"d\":1}}": "{a=b;c={d=_;};}",
		`{"\u0061":null}`:                    "{a=_;}",
		`{"` + strings.Repeat("n", 99) + `":-1.5e3,"n":[true,false,0]}`: "{" + strings.Repeat("n", 99) + "=_;n=[_;_;_;];}",
	} {
		iter := borrow(t, data)
		if got := read(iter); got != want || iter.Error != nil {
			t.Errorf("%s: %s, %v", data, got, iter.Error)
		}
		iter = borrow(t, data)
		iter.Skip()
		if iter.Error != nil || strings.TrimSpace(data[iter.head:]) != "" {
			t.Errorf("Skip of %s ends at %d: %v", data, iter.head, iter.Error)
		}
	}
}

func TestNullForArraysAndObjects(t *testing.T) {
	t.Parallel()
	iter := borrow(t, `[null,null]`)
	for i := 0; iter.ReadArray(); i++ {
		if i == 0 && iter.ReadArray() || i == 1 && iter.ReadObject() != "" {
			t.Errorf("element %d is not empty", i)
		}
	}
	if iter.Error != nil {
		t.Error(iter.Error)
	}
}

func TestNotJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", " ", "[", "{", "]", "}", ",", ":", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1}", "[[1][2]]",
		"[1 null", "[nul]", "[True]",
		`{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{"a":}`, `{a:1}`,
		`{null:1}`, `{"a":1 "b":2}`,
		`{"a":1]`, `{"a":1 null`, `{"a":],"b":1}`, `{"a":,1]}`,
		`["`, `["a`, `["\`, `["\"`, `["\x"]`, `["\u`, `["\u00e`, `["\u00eg"]`, `["\ud83d\u`, `["\ud83d\x"]`,
		"[\"\x1f\"]", "[\"a\nb\"]", "[\"01234567\x00\"]",
	} {
		iter := borrow(t, data)
		if read(iter); succeeds(iter) {
			t.Errorf("%q is read without an error", data)
		}
		iter = borrow(t, data)
		if iter.Skip(); succeeds(iter) {
			t.Errorf("%q is skipped without an error", data)
		}
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		n := maxDepth / strings.Count(strings.ReplaceAll(pair[0], "{", "["), "[")
		for levels, ok := range map[int]bool{n: true, n + 1: false, 100 * n: false} {
			data := strings.Repeat(pair[0], levels) + "0" + strings.Repeat(pair[1], levels)
			iter := borrow(t, data)
			if iter.Skip(); succeeds(iter) != ok {
				t.Errorf("Skip of %d times %s: %v", levels, pair[0], iter.Error)
			}
			iter = borrow(t, data)
			if descend(iter); succeeds(iter) != ok {
				t.Errorf("%d times %s: %v", levels, pair[0], iter.Error)
			}
		}
	}
	// A bracket that ends nothing does not make room.
	iter := borrow(t, strings.Repeat(`{"a":],"a":`, 2*maxDepth))
	if descend(iter); succeeds(iter) || iter.depth > 1 {
		t.Errorf("%v at a depth of %d", iter.Error, iter.depth)
	}
}

func descend(iter *Iterator) {
	switch iter.next() {
	case '[':
		for iter.ReadArray() {
			descend(iter)
		}
	case '{':
		for iter.ReadObject() != "" {
			descend(iter)
		}
	case ']':
		iter.ReadArray()
	default:
		iter.Skip()
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	iter := borrow(t, `{"a": 1, "b": x, "c": 2}`)
	iter.ReadObject()
	iter.ReadInt32()
	iter.ReadObject()
	iter.ReadUint64()
	const want = `ReadUint64: expected a digit, found "x" at byte 14`
	if iter.Error == nil || iter.Error.Error() != want {
		t.Fatal(iter.Error)
	}
	// Nothing is read after it, and it remains the first.
	iter.ReportError("later", "another")
	if iter.ReadObject() != "" || iter.ReadArray() || iter.ReadString() != "" || iter.ReadBool() ||
		iter.Error.Error() != want {
		t.Error(iter.Error)
	}
	iter = borrow(t, "7")
	iter.ReadInt32()
	if !errors.Is(iter.Error, io.EOF) {
		t.Error(iter.Error)
	}
	iter.ReadString()
	if iter.Error.Error() != "ReadString: expected a string or null, found the end at byte 1" {
		t.Error(iter.Error)
	}
	// Who has read JSON can find fault with it.
	iter = borrow(t, `"a" `)
	iter.ReadString()
	iter.ReportError("caller", "no such name")
	if iter.Error.Error() != "caller: no such name at byte 3" {
		t.Error(iter.Error)
	}
}

func TestReturnedIterator(t *testing.T) {
	t.Parallel()
	a := new(API)
	data := []byte(`{"name":"\n",7`)
	iter := a.BorrowIterator(data)
	name, text := iter.ReadObject(), iter.ReadString()
	iter.ReadObject()
	a.ReturnIterator(iter)
	if iter.Error != nil || iter.buf != nil || iter.depth != 0 {
		t.Errorf("the iterator keeps %+v", iter)
	}
	clear(data)
	if name != "name" || text != "\n" {
		t.Errorf("%q, %q", name, text)
	}
	iter.ResetBytes([]byte("[7]"))
	if !iter.ReadArray() || iter.ReadInt32() != 7 || iter.ReadArray() || iter.Error != nil {
		t.Error(iter.Error)
	}
}

// Names of the same place among those that are remembered take turns.
func TestNamesAreTold(t *testing.T) {
	t.Parallel()
	var data strings.Builder
	names := make([]string, 0, 26*26)
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			names = append(names, string([]rune{a, b}))
			data.WriteString(`,"` + names[len(names)-1] + `":0`)
		}
	}
	for range 2 {
		iter := borrow(t, "{"+data.String()[1:]+"}")
		for _, want := range names {
			if got := iter.ReadObject(); got != want {
				t.Fatalf("%q, want %q: %v", got, want, iter.Error)
			}
			iter.Skip()
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		for at := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("é", length))[:length]
				text[at] = byte(c)
				want := length
				if special(byte(c)) {
					want = at
				}
				if got := plain(text); got != want {
					t.Fatalf("%q: %d, want %d", text, got, want)
				}
			}
		}
	}
}
