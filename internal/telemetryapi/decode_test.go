// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi/rawjson"
)

func TestDecode(t *testing.T) {
	at := time.Date(2026, time.October, 8, 7, 30, 27, 768000000, time.UTC)
	good := Event{Time: at, Type: EventFunction, Record: json.RawMessage(`"x"`)}
	const goodText = `{"time":"2026-10-08T07:30:27.768Z","type":"function","record":"x"}`

	tests := []struct {
		name      string
		body      string
		events    []Event
		malformed int
		errText   string
	}{
		{name: "empty array", body: `[]`},
		{name: "one", body: "[" + goodText + "]", events: []Event{good}},
		{
			name:      "elements that are not events cost nobody else",
			body:      `[` + goodText + `,1,null,"a",[],{},{"record":"no type"},{"type":7},{"type":""},{broken,` + goodText + `]`,
			events:    []Event{good},
			malformed: 8,
			errText:   "breaks off",
		},
		{
			name:      "bad syntax inside an element",
			body:      `[{"type":"function","record":nonsense},` + goodText + `]`,
			events:    []Event{good},
			malformed: 1,
		},
		{
			name: "times that do not parse",
			body: `[{"time":"12:30:27","type":"a"},{"time":1760000000,"type":"b"},{"type":"c"},{"time":null,"type":"d"}]`,
			events: []Event{
				{Type: "a"}, {Type: "b"}, {Type: "c"}, {Type: "d"},
			},
		},
		{
			name: "any fraction and offset",
			body: `[{"time":"2026-10-08T07:30:27Z","type":"a"},{"time":"2026-10-08T07:30:27.768123456789Z","type":"a"},` +
				`{"time":"2026-10-08T09:30:27.768+02:00","type":"a"}]`,
			events: []Event{
				{Time: at.Truncate(time.Second), Type: "a"}, {Time: at.Add(123456), Type: "a"}, {Time: at, Type: "a"},
			},
		},
		{
			name: "missing and null records, unknown keys, other order",
			body: `[{"type":"a"},{"type":"a","record":null},{"new":{"x":[1]},"record":[1, 2],"type":"platform.new"}]`,
			events: []Event{
				{Type: "a"}, {Type: "a"}, {Type: "platform.new", Record: json.RawMessage(`[1, 2]`)},
			},
		},
		{name: "breaks off", body: "[" + goodText + `,{"time":"2026-10-08T07:3`, events: []Event{good}, errText: "breaks off at byte 68"},
		{name: "more behind the array", body: "[" + goodText + `]x`, events: []Event{good}, errText: `unexpected 'x'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			batch, err := Decode([]byte(tt.body))
			if tt.errText == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.errText)
			}
			require.Equal(t, tt.events, batch.Events)
			require.Equal(t, tt.malformed, batch.Malformed)
		})
	}
}

func TestDecodeNotAnArray(t *testing.T) {
	for _, body := range []string{"", "  ", "null", `{"type":"function"}`, "hello"} {
		batch, err := Decode([]byte(body))
		require.ErrorIs(t, err, rawjson.ErrNotArray, "%q", body)
		require.Empty(t, batch.Events)
	}
}

func TestDecodeContract(t *testing.T) {
	batch, err := Decode(readContract(t))
	require.NoError(t, err)
	require.Zero(t, batch.Malformed)
	require.Len(t, batch.Events, 21)
	for _, event := range batch.Events {
		require.False(t, event.Time.IsZero())
		require.True(t, json.Valid(event.Record))
	}
}

func FuzzDecode(f *testing.F) {
	contract := readContract(f)
	f.Add(contract)
	f.Add(contract[:len(contract)/2])
	batch, err := Decode(contract)
	require.NoError(f, err)
	for _, event := range batch.Events {
		f.Add([]byte(`[{"time":"2026-10-08T07:30:27.768Z","type":"` + string(event.Type) + `","record":` + string(event.Record) + `},1]`))
	}
	f.Add([]byte(`[{"t\u0079pe":"function","record":"\ud800"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := Decode(body)
		for _, event := range batch.Events {
			require.NotEmpty(t, event.Type)
			require.True(t, len(event.Record) == 0 || json.Valid(event.Record))
			// What comes next must bear whatever Decode lets through.
			_ = event.RequestID()
			_, _ = DecodeRecord[ReportRecord](event)
			_, _ = DecodeRecord[InitStartRecord](event)
		}
		if !json.Valid(body) || rawjson.KindOf(body) != rawjson.KindArray {
			return
		}
		require.NoError(t, err)
		var elements []json.RawMessage
		require.NoError(t, json.Unmarshal(body, &elements))
		require.Equal(t, len(elements), len(batch.Events)+batch.Malformed, "every element is accounted for")
	})
}

func BenchmarkDecode(b *testing.B) {
	body := readContract(b)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func readContract(tb testing.TB) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "contract.json"))
	require.NoError(tb, err)
	return body
}
