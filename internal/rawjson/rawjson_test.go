// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package rawjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestKindOf(t *testing.T) {
	for text, want := range map[string]Kind{
		"": KindInvalid, "  ": KindInvalid, "x": KindInvalid, "null": KindNull, " true": KindBool, "false": KindBool,
		"-1": KindNumber, "0.5": KindNumber, `"a"`: KindString, "\n[": KindArray, "\t{": KindObject,
	} {
		require.Equal(t, want, KindOf([]byte(text)), "%q", text)
	}
}

func TestArray(t *testing.T) {
	tests := []struct {
		name     string
		text     string
		elements []string
		errText  string
	}{
		{name: "empty", text: " [ ] "},
		{name: "one", text: "[1]", elements: []string{"1"}},
		{name: "white space", text: " [\n1 ,\t{ \"a\" : 2 } \r] \n", elements: []string{"1", `{ "a" : 2 }`}},
		{name: "brackets and commas in strings", text: `["],[", "\"]", "\\"]`, elements: []string{`"],["`, `"\"]"`, `"\\"`}},
		{name: "nested", text: `[[1,[2]],{"a":[{"b":","}]}]`, elements: []string{`[1,[2]]`, `{"a":[{"b":","}]}`}},
		{name: "bad element", text: `[1,nonsense here,{"a":},3]`, elements: []string{"1", "nonsense here", `{"a":}`, "3"}},
		{name: "missing elements", text: `[,1,]`, elements: []string{"", "1", ""}},
		{name: "breaks off behind the bracket", text: `[`, errText: "breaks off at byte 1 of 1"},
		{name: "breaks off in an element", text: `[1,{"a":"b`, elements: []string{"1"}, errText: "breaks off at byte 3 of 10"},
		{name: "breaks off behind a comma", text: `[1,`, elements: []string{"1"}, errText: "breaks off"},
		{name: "wrong bracket", text: `[1}`, errText: `unexpected '}' at byte 2`},
		{name: "more behind it", text: `[1] [2]`, elements: []string{"1"}, errText: `unexpected '[' at byte 4, behind the array`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			array, err := OpenArray([]byte(tt.text))
			require.NoError(t, err)
			var elements []string
			for element, ok := array.Next(); ok; element, ok = array.Next() {
				elements = append(elements, string(element))
			}
			require.Equal(t, tt.elements, elements)
			if tt.errText == "" {
				require.NoError(t, array.Err())
			} else {
				require.ErrorContains(t, array.Err(), tt.errText)
			}
			_, ok := array.Next()
			require.False(t, ok, "the end is final")
		})
	}
}

func TestOpenArrayNotArray(t *testing.T) {
	for _, text := range []string{"", " ", "{}", "null", `"["`} {
		_, err := OpenArray([]byte(text))
		require.ErrorIs(t, err, ErrNotArray, "%q", text)
	}
}

func TestElements(t *testing.T) {
	var got []string
	for element := range Elements([]byte(`[1, 2, 3]`)) {
		if string(element) == "3" {
			break
		}
		got = append(got, string(element))
	}
	require.Equal(t, []string{"1", "2"}, got)
	for range Elements([]byte(`{}`)) {
		require.Fail(t, "an object has no elements")
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		name string
		text string
		want [][2]string
	}{
		{name: "empty", text: " { } "},
		{name: "not an object", text: `[1]`},
		{name: "no text", text: ``},
		{
			name: "every kind of value, in order, with duplicates",
			text: ` { "s" : "a,}" , "n":-1.5e3,"o":{"x":[1,2]},"l":[ ],"b":true,"z":null,"s":2 } `,
			want: [][2]string{
				{`"s"`, `"a,}"`}, {`"n"`, `-1.5e3`}, {`"o"`, `{"x":[1,2]}`}, {`"l"`, `[ ]`}, {`"b"`, `true`}, {`"z"`, `null`},
				{`"s"`, `2`},
			},
		},
		{name: "quotes in keys", text: `{"a\"b":1}`, want: [][2]string{{`"a\"b"`, `1`}}},
		{name: "breaks off", text: `{"a":1,"b":`, want: [][2]string{{`"a"`, `1`}}},
		{name: "breaks off in a key", text: `{"a":1,"b`, want: [][2]string{{`"a"`, `1`}}},
		{name: "no colon", text: `{"a" 1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got [][2]string
			for key, value := range Fields([]byte(tt.text)) {
				got = append(got, [2]string{string(key), string(value)})
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestIs(t *testing.T) {
	require.True(t, Is([]byte(`"type"`), "type"))
	require.True(t, Is([]byte(`"t\u0079pe"`), "type"))
	require.False(t, Is([]byte(`"types"`), "type"))
	require.False(t, Is([]byte(`"Type"`), "type"))
}

func TestString(t *testing.T) {
	tests := []struct {
		raw  string
		want string
		ok   bool
	}{
		{raw: `""`, want: "", ok: true},
		{raw: `"plain"`, want: "plain", ok: true},
		{raw: `"tab\tquote\" A😀"`, want: "tab\tquote\" A😀", ok: true},
		{raw: "\"\xff\"", want: "�", ok: true},
		{raw: `"\ud800"`, want: "�", ok: true},
		{raw: `"\ud83d\ude00\ud83d\u0041\ude00\ud83d\ud83d\ude00\ud83dx"`, want: "😀�A��😀�x", ok: true},
		{raw: `"\"\\\/\b\f\n\r\t"`, want: "\"\\/\b\f\n\r\t", ok: true},
		{raw: "\"\\n\xff\xfe\xe2\x82\"", want: "\n����", ok: true},
		{raw: `"\u12"`},
		{raw: `"\"`},
		{raw: `"`},
		{raw: `1`},
		{raw: `"\x"`},
		{raw: ``},
	}
	for _, tt := range tests {
		got, ok := String([]byte(tt.raw))
		require.Equal(t, tt.ok, ok, "%q", tt.raw)
		require.Equal(t, tt.want, got, "%q", tt.raw)
	}
}

func TestFloat(t *testing.T) {
	tests := []struct {
		raw  string
		want float64
		ok   bool
	}{
		{raw: `0`, ok: true},
		{raw: `-1.5e3`, want: -1500, ok: true},
		{raw: `18446744073709551615`, want: 1 << 64, ok: true},
		{raw: `1e-999`, ok: true},
		{raw: `1e999`},
		{raw: `"1"`},
		{raw: `null`},
		{raw: ``},
	}
	for _, tt := range tests {
		got, ok := Float([]byte(tt.raw))
		require.Equal(t, tt.ok, ok, "%q", tt.raw)
		require.InDelta(t, tt.want, got, 0, "%q", tt.raw)
	}
}

func TestObject(t *testing.T) {
	tests := []struct {
		name string
		text string
		want [][2]string
		ok   bool
	}{
		{name: "empty", text: " { } ", ok: true},
		{
			name: "every kind of value, in order, with duplicates",
			text: ` { "s" : "a,}" , "n":-1.5e3,"o":{"x":[1,2]},"l":[ ],"b":true,"f":false,"z":null,"s":2 } `,
			want: [][2]string{
				{`s`, `"a,}"`}, {`n`, `-1.5e3`}, {`o`, `{"x":[1,2]}`}, {`l`, `[ ]`}, {`b`, `true`}, {`f`, `false`},
				{`z`, `null`}, {`s`, `2`},
			},
			ok: true,
		},
		{name: "escapes in names", text: `{"a\"\u0062":1}`, want: [][2]string{{`a"b`, `1`}}, ok: true},
		{name: "what is not UTF-8", text: "{\"a\xff\":\"\xff\"}", want: [][2]string{{"a\xff", "\"\xff\""}}, ok: true},
		{name: "not an object", text: `[1]`},
		{name: "no text", text: ``},
		{name: "more behind it", text: `{}{}`},
		{name: "breaks off behind a field", text: `{"a":1`, want: [][2]string{{`a`, `1`}}},
		{name: "breaks off in a value", text: `{"a":1,"b":[1`, want: [][2]string{{`a`, `1`}}},
		{name: "breaks off in a name", text: `{"a":1,"b`, want: [][2]string{{`a`, `1`}}},
		{name: "broken value", text: `{"a":1,"b":+1,"c":2}`, want: [][2]string{{`a`, `1`}}},
		{name: "no colon", text: `{"a" 1}`},
		{name: "no value", text: `{"a":}`},
		{name: "comma at the end", text: `{"a":1,}`, want: [][2]string{{`a`, `1`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.ok, json.Valid([]byte(tt.text)) && KindOf([]byte(tt.text)) == KindObject, "the test is right")
			var got [][2]string
			ok := Object([]byte(tt.text), func(name, value []byte) {
				got = append(got, [2]string{string(name), string(value)})
			})
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

// TestObjectIsStrict has values on both sides of where encoding/json draws the line.
func TestObjectIsStrict(t *testing.T) {
	values := []string{
		`0`, `-0`, `00`, `-`, `+1`, `1.`, `.5`, `1.50`, `1e`, `1e+`, `1E-07`, `1e5x`, `1 2`, `0x1`, `NaN`, `-Infinity`,
		`true`, `tru`, `truee`, `True`, `nul`, `null`, `falsey`,
		`""`, `"`, `"\"`, `"\\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\u12aF"`, `"\b\f\n\r\t\/\""`,
		"\"a\x1fb\"", "\"\x7f\"", "\"\n\"",
		"\"12345678\x0012345678\"", "\"\x80\xff12345678\"", `'a'`,
		`[]`, `[1,]`, `[,]`, `[1 2]`, `[1,2}`, `[[]`, `[]]`, `{}`, `{,}`, `{"a"}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1]`,
		strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1),
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		strings.Repeat(`{"a":`, maxDepth-1) + "1" + strings.Repeat("}", maxDepth-1),
		strings.Repeat(`{"a":`, maxDepth) + "1" + strings.Repeat("}", maxDepth),
	}
	for _, value := range values {
		text := []byte(`{"a":` + value + `}`)
		require.Equal(t, json.Valid(text), Object(text, func(_, _ []byte) {}), "%.100q", value)
		isNumber := json.Valid([]byte(value)) && KindOf([]byte(value)) == KindNumber
		require.Equal(t, isNumber, ValidNumber([]byte(value)), "%.100q", value)
	}
}

// TestStringsOfAnyLength puts each byte at each place of a string, since the scanner looks at eight of them at a time.
func TestStringsOfAnyLength(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := []byte(`{"a":"` + strings.Repeat("x", length) + `"}`)
				text[6+at] = byte(c)
				if json.Valid(text) != Object(text, func(_, _ []byte) {}) {
					require.Failf(t, "not as encoding/json has it", "%q", text)
				}
			}
		}
	}
}

func TestNextObject(t *testing.T) {
	array, err := OpenArray([]byte(` [ {"a":1} , 7, {"a":}, {"a":2} x, {"b":"],"}, ` +
		`[{"a":3}],, {"a":[1,]}, {"a":4} ] `))
	require.NoError(t, err)
	var got []string
	for {
		element := ""
		valid, ok := array.NextObject(func(name, value []byte) { element += string(name) + "=" + string(value) })
		if !ok {
			break
		}
		if !valid {
			element = "bad"
		}
		got = append(got, element)
	}
	require.NoError(t, array.Err())
	require.Equal(t, []string{"a=1", "bad", "bad", "bad", `b="],"`, "bad", "bad", "bad", "a=4"}, got)

	for _, text := range []string{`[{"a":1}`, `[{"a":1`, `[{"a":1}}`} {
		array, err := OpenArray([]byte(text))
		require.NoError(t, err)
		for range 2 {
			_, ok := array.NextObject(func(_, _ []byte) {})
			require.False(t, ok, text)
		}
		require.Error(t, array.Err(), text)
	}
}

func TestAppendStrings(t *testing.T) {
	for want, texts := range map[string][]string{
		`[]`:                           nil,
		`["INVOKE"]`:                   {"INVOKE"},
		`["a\"b\\c","\u000a\u001fé/"]`: {`a"b\c`, "\n\x1fé/"},
	} {
		require.Equal(t, want, string(AppendStrings(nil, texts)))
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\c\nd\x00\x1f\x7f\xff\u2028é\t\r<&>")
	f.Fuzz(func(t *testing.T, text string) {
		var got, want string
		ours := AppendString([]byte("x"), text)[1:]
		require.NoError(t, json.Unmarshal(ours, &got))
		theirs, err := json.Marshal(text)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(theirs, &want))
		require.Equal(t, want, got)
		read, ok := String(ours)
		require.True(t, ok)
		require.Equal(t, want, read)
	})
}

// FuzzAgainstEncodingJSON holds the walkers against the decoder of the standard library, for text that it accepts, and
// makes sure that other text does no harm.
func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[1,"a",{"b":[null,true]}]`, `{"a":{"b":"c\\\"d"},"e":[1.5,-2]}`, `[{"a":"\u2028"},"]"]`, "[\"\xff\"]", `[1,`, `{"a":1`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		array, openErr := OpenArray(text)
		var elements [][]byte
		if openErr == nil {
			for element, ok := array.Next(); ok; element, ok = array.Next() {
				elements = append(elements, element)
			}
		}
		fields := map[string][]byte{}
		for key, value := range Fields(text) {
			if s, ok := String(key); ok {
				fields[s] = value
			}
		}
		if s, ok := String(text); ok {
			require.True(t, utf8.ValidString(s))
		}
		checked := map[string][]byte{}
		isObject := Object(text, func(name, value []byte) {
			checked[strings.ToValidUTF8(string(name), "")] = value
			require.True(t, json.Valid(value))
		})
		require.Equal(t, json.Valid(text) && KindOf(text) == KindObject, isObject)
		checkNextObject(t, text)
		if !json.Valid(text) {
			return
		}
		switch KindOf(text) {
		case KindArray:
			require.NoError(t, openErr)
			require.NoError(t, array.Err())
			var want []json.RawMessage
			require.NoError(t, json.Unmarshal(text, &want))
			require.Len(t, elements, len(want))
			for i := range want {
				require.Equal(t, string(want[i]), string(elements[i]))
			}
		case KindObject:
			var want map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(text, &want))
			require.Len(t, fields, len(want))
			for key, value := range want {
				require.Equal(t, string(value), string(fields[key]))
				if !strings.ContainsRune(key, utf8.RuneError) {
					require.Equal(t, string(value), string(checked[key]))
				}
			}
		case KindInvalid:
			require.Fail(t, "valid text has a kind")
		case KindString:
			var want string
			require.NoError(t, json.Unmarshal(text, &want))
			got, ok := String(bytes.TrimSpace(text))
			require.True(t, ok)
			require.Equal(t, want, got)
		case KindNumber:
			var want float64
			valid := json.Unmarshal(text, &want) == nil
			got, ok := Float(bytes.TrimSpace(text))
			require.Equal(t, valid, ok)
			require.Equal(t, want, got) //nolint:testifylint // It is the same text: there is no delta.
		case KindNull, KindBool:
			require.ErrorIs(t, openErr, ErrNotArray)
		}
	})
}

// checkNextObject holds NextObject, which guesses nothing for good elements, against Next, which always does.
func checkNextObject(t *testing.T, text []byte) {
	t.Helper()
	fast, err := OpenArray(text)
	if err != nil {
		return
	}
	slow, err := OpenArray(text)
	require.NoError(t, err)
	for {
		valid, ok := fast.NextObject(func(_, _ []byte) {})
		element, slowOK := slow.Next()
		require.Equal(t, slowOK, ok)
		require.Equal(t, slow.Err(), fast.Err())
		if !ok {
			return
		}
		require.Equal(t, json.Valid(element) && KindOf(element) == KindObject, valid)
	}
}

func BenchmarkString(b *testing.B) {
	for name, raw := range map[string]string{
		"plain":   `"79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36"`,
		"escapes": `"2026-10-08T07:30:29.443Z\t79b5e81f-9cdd-4145-b1f6-7c50ef8a2a36\tERROR\tWidget update failed\n"`,
		"json":    `"{\"level\":\"ERROR\",\"message\":\"Widget \\\"a\\\" failed\",\"orderId\":12,\"name\":\"\u00fc\"}\n"`,
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(raw)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := String(text); !ok {
					b.Fatal("not a string")
				}
			}
		})
	}
}
