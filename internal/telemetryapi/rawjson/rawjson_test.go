// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package rawjson

import (
	"encoding/json"
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
			}
		case KindInvalid:
			require.Fail(t, "valid text has a kind")
		case KindNull, KindBool, KindNumber, KindString:
			require.ErrorIs(t, openErr, ErrNotArray)
		}
	})
}
