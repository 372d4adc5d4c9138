// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// decodeRows are of two kinds of lines, of which one is over the budget, and of something else.
func decodeRows() []decodeRow {
	samples := func(cpu ...float64) observations {
		return observations{keyEventCPU: cpu, keyEventTime: cpu, keyEventAllocs: {7, 7, 7}, keyEventBytes: {600, 600, 600}}
	}
	row := func(name string, lines bool, mapper float64) decodeRow {
		t := telemetry{name: name, lines: lines, bodies: [][]byte{make([]byte, 1_040_000)}, events: 10_000, records: 10_000}
		if !lines {
			t.bodies = append(t.bodies, t.bodies[0])
		}
		return newDecodeRow(t, ways(), []observations{samples(300, 310, 305), samples(mapper), samples(2000, 2100, 1900)})
	}
	return []decodeRow{row("cheap", true, 1000), row("dear", true, 2500), row("other", false, 3000)}
}

func TestDecodeRows(t *testing.T) {
	t.Parallel()
	rows := decodeRows()
	cheap := rows[0].Ways[1].Figures[keyEventCPU]
	require.InDelta(t, 0.5, cheap.MapsRatio.Median, 1e-9)
	require.InDelta(t, 2000, cheap.Budget, 1e-9)
	require.True(t, cheap.kept())
	require.Zero(t, rows[0].Ways[1].Figures[keyEventTime].Budget)
	require.Zero(t, rows[0].Ways[0].Figures[keyEventCPU].Budget, "the decoder alone is less than what is promised")
	require.Nil(t, rows[0].Ways[2].Figures[keyEventCPU].MapsRatio)
	require.False(t, rows[1].Ways[1].Figures[keyEventCPU].kept())
	require.Zero(t, rows[2].Ways[1].Figures[keyEventCPU].Budget, "the promise is about lines")

	p := decodePromise(rows)
	require.Equal(t, 2, p.Cells)
	require.Equal(t, []string{"dear: 1.25 times as much"}, p.Broken)
	require.Zero(t, decodePromise(nil).Cells)
}

func TestTelemetryIsWhatLambdaDelivers(t *testing.T) {
	t.Parallel()
	all, err := allTelemetry()
	require.NoError(t, err)
	require.Len(t, all, 4)
	require.Equal(t, batchEvents, all[0].events, "short lines fill a batch by their number")
	for _, each := range all {
		events := 0
		for _, body := range append(each.before, each.bodies...) {
			require.True(t, json.Valid(body), each.name)
			decoded, err := telemetryapi.Decode(body)
			require.NoError(t, err)
			require.Zero(t, decoded.Malformed+decoded.Unknown, each.name)
			for _, event := range decoded.Events {
				require.False(t, event.Time.IsZero(), each.name)
			}
			events += len(decoded.Events)
		}
		require.Greater(t, events, each.events)
		if each.lines {
			require.Len(t, each.bodies, 1)
			require.LessOrEqual(t, each.size(), batchBytes)
			require.Greater(t, each.size(), batchBytes*98/100)
		}
	}
}

// TestWaysDoTheSame: what costs are compared of makes the same of the lines.
func TestWaysDoTheSame(t *testing.T) {
	t.Parallel()
	all, err := allTelemetry()
	require.NoError(t, err)
	for _, each := range all {
		t.Run(each.name, func(t *testing.T) {
			t.Parallel()
			mapped, fromMaps := &counter{}, &counter{}
			h, err := openReceiver(t.Context(), mapped)
			require.NoError(t, err)
			ours := recordsOf(t, h, mapped, each)
			theirs := recordsOf(t, openMaps(fromMaps), fromMaps, each)
			require.Len(t, ours, each.records)
			require.Len(t, theirs, each.records)
			for i := range ours {
				require.Equal(t, theirs[i].Timestamp(), ours[i].Timestamp())
				id, known := ours[i].Attributes().Get("faas.invocation_id")
				require.True(t, known)
				other, known := theirs[i].Attributes().Get("faas.invocation_id")
				require.True(t, known)
				require.Equal(t, other.Str(), id.Str())
			}
			first, last := ours[0], theirs[len(theirs)-1]
			switch each.name {
			case "plain text":
				require.Equal(t, "order 0000 taken, 99.90 EUR, 3 items", first.Body().Str())
				require.Equal(t, "order 9999 taken, 99.90 EUR, 3 items", last.Body().Str())
			case "text of Node's runtime":
				require.Equal(t, "order 0000 taken, 99.90 EUR, 3 items", first.Body().Str(), "we read what the runtime wrote")
			case "Lambda's JSON format":
				require.Equal(t, theirs[0].Body().Map().Len(), first.Body().Map().Len())
				require.Equal(t, theirs[0].SeverityNumber(), first.SeverityNumber())
			}
		})
	}
}

// recordsOf returns what the measured deliveries become.
func recordsOf(t *testing.T, h handler, next *counter, each telemetry) (records []plog.LogRecord) {
	t.Helper()
	for _, body := range each.before {
		_, err := h.handle(t.Context(), body)
		require.NoError(t, err)
	}
	next.see = func(logs plog.Logs) {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					records = append(records, record)
				}
			}
		}
	}
	for _, body := range each.bodies {
		before := len(records)
		n, err := h.handle(t.Context(), body)
		require.NoError(t, err)
		require.Equal(t, len(records)-before, n)
	}
	require.NoError(t, h.close(t.Context()))
	return records
}

func TestSampleNoticesWhatIsMissing(t *testing.T) {
	t.Parallel()
	to := observations{}
	closed := 0
	lazy := way{"lazy", func(context.Context) (handler, error) {
		return handler{
			handle: func(context.Context, []byte) (int, error) { return 1, nil },
			close:  func(context.Context) error { closed++; return nil },
		}, nil
	}}
	each := telemetry{bodies: [][]byte{[]byte("[]")}, events: 2, records: 2}
	require.ErrorContains(t, lazy.sample(t.Context(), each, 3, to), "3 of 6")
	require.Empty(t, to)
	require.Equal(t, 3, closed)

	each.bodies = [][]byte{[]byte("{")}
	for _, w := range ways() {
		require.Error(t, w.sample(t.Context(), each, 1, to), w.name)
	}
}

// TestDecode measures for real, without a layer.
func TestDecode(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads a clock of Linux")
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	procs := runtime.GOMAXPROCS(0)
	var table, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-layer", "absent", "-decode", "-decode-runs", "1", "-json", file},
		&table, &progress))
	require.Equal(t, procs, runtime.GOMAXPROCS(0))
	require.Equal(t, "decode, run 1 of 1\n", progress.String(), "nothing is built")
	require.Contains(t, table.String(), "costs less CPU than decoding it into map[string]any: ")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal(text, &d))
	require.Len(t, d.Decode, 4)
	for _, row := range d.Decode {
		require.Len(t, row.Ways, 3)
		for _, w := range row.Ways {
			for _, f := range decodeFigures() {
				require.Positive(t, w.Figures[f.key].Median, "%s of %s, %s", f.key, w.Name, row.Telemetry)
			}
		}
		decoder, mapper := row.Ways[0].Figures[keyEventAllocs], row.Ways[1].Figures[keyEventAllocs]
		require.Less(t, decoder.Median, mapper.Median, row.Telemetry)
	}
	require.Equal(t, 3, d.DecodePromises[0].Cells)
}
