// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
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
			requireEqualBatch(t, Batch{Events: tt.events, Malformed: tt.malformed, Unknown: batch.Unknown}, batch)
			if json.Valid([]byte(tt.body)) {
				requireEqualBatch(t, slowDecode(t, []byte(tt.body)), batch)
			}
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

// TestDecodeCountsEveryElement mixes events with what is none, in any order.
func TestDecodeCountsEveryElement(t *testing.T) {
	good := strings.Split(strings.TrimSpace(string(readContract(t))), "\n")
	good = good[1 : len(good)-1]
	bad := []string{
		``, `7`, `"a"`, `null`, `[]`, `{}`, `{"type":7}`, `{"type":""}`, `{"record":{}}`, `nonsense`, `{"type":"function",}`,
		`{"type":"function","record":01}`, `{"type":"function","record":"\x"}`, "{\"type\":\"a\nb\"}", `{"type":"a"} x`,
		`{type:"a"}`,
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		elements, want, malformed := []string{`{"type":"platform.new"}`}, []string{"platform.new"}, 0
		for range random.IntN(20) {
			if random.IntN(2) == 0 {
				elements, malformed = append(elements, bad[random.IntN(len(bad))]), malformed+1
				continue
			}
			element := strings.TrimSuffix(good[random.IntN(len(good))], ",")
			event := slowDecode(t, []byte("["+element+"]")).Events[0]
			elements, want = append(elements, element), append(want, string(event.Type))
		}
		batch, err := Decode([]byte("[" + strings.Join(elements, ",\n") + "]"))
		require.NoError(t, err)
		require.Equal(t, malformed, batch.Malformed, "%q", elements)
		require.Equal(t, 1, batch.Unknown)
		var got []string
		for _, event := range batch.Events {
			got = append(got, string(event.Type))
		}
		require.Equal(t, want, got)
	}
}

func TestDecodeRecordsDoNotReachIntoTheBody(t *testing.T) {
	batch, err := Decode([]byte(`[{"type":"function","record":"a"},{"type":"function","record":"b"}]`))
	require.NoError(t, err)
	_ = append(batch.Events[0].Record, "overwritten, all of what comes behind"...)
	require.Equal(t, `"b"`, string(batch.Events[1].Record))
}

func TestEventTypeKnown(t *testing.T) {
	for _, known := range append(platformEvents(), EventFunction, EventExtensionLog) {
		require.True(t, known.Known(), known)
	}
	for _, unknown := range []EventType{"", "platform.end", "platform.Report", "platform"} {
		require.False(t, unknown.Known(), unknown)
	}
}

func FuzzDecode(f *testing.F) {
	// One event for each seed: the fuzzer takes long over large ones.
	batch, err := Decode(readContract(f))
	require.NoError(f, err)
	for _, event := range batch.Events {
		f.Add([]byte(`[{"time":"2026-10-08T07:30:27.768Z","type":"` + string(event.Type) + `",` +
			`"record":` + string(event.Record) + `},1]`))
	}
	f.Add([]byte(`[{"type":"function","record":"x"}, {"type":"function","rec`))
	f.Add([]byte(`[{"t\u0079pe":"function","record":"\ud800"}]`))
	f.Add([]byte(`[{"type":"a","type":null,"time":"2026-10-08T07:30:27Z"} , {"record":{},"type":"platform.\ud83d\ude00"}]`))
	f.Add([]byte(`[{"type":"platform.report","record":{"metrics":{"durationMs":1e999},"spans":[{"name":"\u0061"},1]}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := Decode(body)
		unknown := 0
		for _, event := range batch.Events {
			require.NotEmpty(t, event.Type)
			require.True(t, len(event.Record) == 0 || json.Valid(event.Record))
			if !event.Type.Known() {
				unknown++
			}
			_ = event.RequestID()
			checkRecord(t, event)
		}
		require.Equal(t, unknown, batch.Unknown)
		if json.Valid(body) && rawjson.KindOf(body) == rawjson.KindArray {
			require.NoError(t, err)
			requireEqualBatch(t, slowDecode(t, body), batch)
		}
	})
}

// checkRecord holds the decoders against the slow one. An event of no known type is as good as any for all of them.
func checkRecord(t *testing.T, event Event) {
	t.Helper()
	types := []EventType{event.Type}
	if newRecord(event.Type) == nil {
		types = platformEvents()
	}
	for _, event.Type = range types {
		got := newRecord(event.Type)
		unknown, err := got.Decode(event)
		require.GreaterOrEqual(t, unknown, 0)
		require.Equal(t, err == nil, len(event.Record) == 0 || rawjson.KindOf(event.Record) == rawjson.KindObject)
		if err == nil {
			require.Equal(t, slowRecord(t, event), got)
		}
	}
}

// requireEqualBatch does not tell an empty slice from none.
func requireEqualBatch(t *testing.T, want, got Batch) {
	t.Helper()
	require.Len(t, got.Events, len(want.Events))
	for i := range want.Events {
		require.Equal(t, want.Events[i], got.Events[i])
	}
	require.Equal(t, want.Malformed, got.Malformed)
	require.Equal(t, want.Unknown, got.Unknown)
}

func readContract(tb testing.TB) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "contract.json"))
	require.NoError(tb, err)
	return body
}
