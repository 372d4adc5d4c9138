// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// aDocument has some of everything but the delivery.
func aDocument() document {
	set := settings{
		layer: "layer", compare: []string{"before=old"}, runs: 3, invocations: 20,
		loadTime: 60 * time.Second, loadRuns: 1, backends: []string{atRemote, atLoopback}, attributes: []int{2}, decodeRuns: 3,
	}
	subjects := []subject{
		{name: nameLayer, collector: true, budgeted: true},
		{name: nameRaw},
		{name: nameNetHTTP},
		{name: "before", collector: true},
	}
	full := []observations{
		{
			keyRegister: {2, 1, 3}, keyListening: {11}, keyFirstNext: {14.5}, keyFirstNextCPU: {14}, keyMinorFaults: {1700},
			prefixUncached + keyFirstNext: {30, 36, 40}, prefixUncached + keyMajorFaults: {9},
			prefixReady + processAll + suffixAnonymous:   {4.9e6},
			prefixReady + processGuard + suffixAnonymous: {1.1e6},
			keyMissing: {0}, keyZip: {8.4e6},
			processCollector + suffixInit: {5.25, 5}, processCollector + suffixInitBytes: {1_035_400},
		},
		{keyRegister: {1.5}, keyFirstNext: {2}},
		{keyRegister: {2.5, 2.6, 2.4}, keyFirstNext: {4}, keyFirstNextCPU: {2.79}, keyMissing: {0}},
		{keyRegister: {2, 4, 3}, keyFirstNext: {29}, keyMissing: {0}, keyZip: {9e6}},
	}
	small := []observations{
		{keyFirstNext: {36}, prefixReady + processGuard + suffixAnonymous: {1.1e6}},
		{}, {keyFirstNext: {8}}, {keyFirstNext: {90}},
	}
	d := newDocument(set)
	d.Machine = machine{GoVersion: "go1.99", OS: "linux", Arch: "arm64", CPUCount: 2}
	d.addCosts(set, subjects, costs{
		conditions: []conditionCosts{{unlimited(), full}, {condition{memoryMB: 512, share: 0.289}, small}},
		leftOut:    []string{"function of 128 MB, 7.2 % of one CPU: no cgroup"},
	})
	seen := func(factor, zipped int) (o observations) {
		o = observations{}
		loadSeen{
			window: time.Minute, arrived: factor * 1_000_000, zipped: zipped * 1_000_000, cpu: 5 * time.Second,
			memory: steadyMemory(60, 100e6), after: 6e6,
		}.observe(o)
		return o
	}
	judged := newLoadPromises()
	judged.above.add("http, 64 connections, remote", "nothing was refused")
	bare := bareCosts{compressionGzip: {1, 2}, compressionNone: {0.5}}
	d.addLoad(set, loads{
		rows: []loadRow{
			newLoadRow(subjects[0], loadCell{protocolHTTP, 64, atRemote, 2}, seen(3, 3), bare),
			newLoadRow(subjects[3], loadCell{protocolHTTP, 64, atRemote, 2}, seen(1, 1), bare),
			newLoadRow(subject{name: nameStock}, loadCell{protocolHTTP, 64, atRemote, 2}, seen(1, 1), bare),
			newLoadRow(subjects[0], loadCell{protocolHTTP, 64, atLoopback, 2}, seen(4, 0), bare),
			newLoadRow(subjects[3], loadCell{protocolHTTP, 64, atLoopback, 2}, seen(1, 1), bare),
		},
		work: []loadWork{{2, []payload{{10, make([]byte, 1505)}}, bare}}, promises: judged.list(), notes: []string{"a note"},
	})
	d.addDecode(decodeRows())
	d.Took = []duration{{"cost", 61.5}, {"load", 3}}
	return d
}

func TestTable(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	require.NoError(t, printTable(&got, aDocument()))
	golden(t, "testdata/table.golden", got.String())
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "| a   | é |\n| --- | - |\n| bcd |   |\n", markdown([][]string{{"a", "é"}, {"bcd", ""}}))
	require.Equal(t, "one two", oneLine(errors.Join(errors.New("one"), errors.New("two"))))
}

func TestCharts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "charts")
	require.NoError(t, aDocument().draw(dir))
	var all strings.Builder
	for _, name := range []string{
		"cold-start.svg", "cold-start-by-memory.svg", "memory.svg", "throughput.svg", "cpu.svg",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotContains(t, string(text), "%!")
		decoder := xml.NewDecoder(bytes.NewReader(text))
		for err == nil {
			_, err = decoder.Token()
		}
		require.ErrorIs(t, err, io.EOF, "it is XML")
		all.Write(text)
	}
	golden(t, "testdata/charts.golden", all.String())

	empty := t.TempDir()
	require.NoError(t, document{}.draw(empty))
	files, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Empty(t, files, "what was not measured has no chart")
	require.Error(t, document{}.draw(filepath.Join(dir, "cpu.svg")))
}

func TestChartEscapes(t *testing.T) {
	t.Parallel()
	g := barGroup{title: "&", unit: items, bars: []bar{{"<x>", summarise([]float64{0})}}}
	text := chart{title: "a < b", groups: []barGroup{g}}.svg()
	require.Contains(t, text, ">a &lt; b<")
	require.Contains(t, text, ">&amp;<")
	require.Contains(t, text, ">&lt;x&gt;<")
	require.NotContains(t, text, "NaN")
}

func TestComparison(t *testing.T) {
	t.Parallel()
	d := aDocument()
	require.Len(t, d.Comparisons, 1)
	c := d.Comparisons[0]
	require.Equal(t, "before", c.With)
	require.Len(t, c.Tables, 4, "two conditions and two loads")
	row := c.Tables[0].Rows[0]
	require.Equal(t, keyRegister, row.Figure)
	require.InDelta(t, 2, row.Mine, 1e-9)
	require.InDelta(t, 3, row.Theirs, 1e-9)
	require.InDelta(t, 2.0/3, row.Ratio.Median, 1e-9)

	require.False(t, settings{compare: []string{"before=old"}}.compares("before"), "there is nothing to compare with")
	require.False(t, settings{layer: "x", compare: []string{"before=old"}}.compares(nameRaw))
	d.compare("before", "nothing", nil)
	require.Len(t, d.Comparisons[0].Tables, 4)
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	results := evaluate(
		[]subject{{name: nameLayer, budgeted: true}, {name: nameNetHTTP}},
		conditionCosts{
			condition: unlimited(),
			observed:  []observations{{keyRegister: {3}, keyHeld: {1}}, {keyRegister: {2}, keyHeld: {0}}},
		},
		speed{FirstNext: 2, CPU: 3},
	)
	register := results[0].Figures[keyRegister]
	require.InDelta(t, 1.5, register.FloorRatio, 1e-9)
	require.InDelta(t, 2, register.Budget, 1e-9)
	require.False(t, register.kept())
	require.Zero(t, results[1].Figures[keyRegister].Budget, "budgets are the layer's")

	held := results[0].Figures[keyHeld]
	require.Zero(t, held.FloorRatio, "nothing is a multiple of nothing")
	require.InDelta(t, 29, held.Budget, 1e-9)
	require.True(t, held.kept())
	require.Zero(t, held.BudgetAtSpeed, "the buffer is Lambda's")
	require.Zero(t, register.BudgetAtSpeed, "the floor is of the same machine")
	require.NotContains(t, results[0].Figures, keyZip)
}

func TestFiguresAreDistinct(t *testing.T) {
	t.Parallel()
	keys, names := map[string]bool{}, map[string]bool{}
	for _, f := range figures() {
		require.False(t, keys[f.key], f.key)
		keys[f.key] = true
		require.False(t, names[f.fullName()], f.fullName())
		names[f.fullName()] = true
		require.Contains(t, parts(), f.part)
	}
	for _, f := range append(loadFigures(), decodeFigures()...) {
		require.False(t, keys[f.key], f.key)
		keys[f.key] = true
		require.NotEmpty(t, f.means)
	}
}
