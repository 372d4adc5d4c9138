// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func TestParseConnections(t *testing.T) {
	t.Parallel()
	list, err := parseConnections("1, 64")
	require.NoError(t, err)
	require.Equal(t, []int{1, 64}, list)
	require.Equal(t, []loadCell{
		{protocolHTTP, 1, atRemote, 3}, {protocolHTTP, 64, atRemote, 3},
		{protocolGRPC, 1, atRemote, 3}, {protocolGRPC, 64, atRemote, 3},
	}, settings{connections: list, backends: []string{atRemote}, attributes: []int{3}}.loadCells())
	for _, text := range []string{"", "0", "many", "8,8"} {
		_, err := parseConnections(text)
		require.Error(t, err, text)
	}
}

func TestParseBackends(t *testing.T) {
	t.Parallel()
	list, err := parseBackends("loopback, remote")
	require.NoError(t, err)
	require.Equal(t, []string{atLoopback, atRemote}, list)
	set := settings{connections: []int{8, 64, 1}, backends: list, attributes: []int{2}}
	require.Len(t, set.loadCells(), 1+2*3)
	require.Equal(t, loadCell{protocolHTTP, 64, atLoopback, 2}, set.loadCells()[0], "one is enough beside the others")
	set.backends = []string{atLoopback}
	require.Len(t, set.loadCells(), 2*3)
	for _, text := range []string{"", "elsewhere", "remote,remote", "remote,"} {
		_, err := parseBackends(text)
		require.Error(t, err, text)
	}
	require.Equal(t, "http://0.0.0.0:4318", loadCell{backend: atRemote}.endpoint("http://127.0.0.1:4318"))
	require.Equal(t, "http://127.0.0.1:4318", loadCell{backend: atLoopback}.endpoint("http://127.0.0.1:4318"))
}

func TestParseAttributes(t *testing.T) {
	t.Parallel()
	list, err := parseAttributes("2, 0,8")
	require.NoError(t, err)
	require.Equal(t, []int{2, 0, 8}, list)
	set := settings{connections: []int{8, 64, 1}, backends: []string{atRemote, atLoopback}, attributes: list}
	require.Equal(t, []loadCell{
		{protocolHTTP, 64, atRemote, 0}, {protocolGRPC, 64, atRemote, 0},
		{protocolHTTP, 64, atRemote, 8}, {protocolGRPC, 64, atRemote, 8},
	}, set.loadCells()[2*3+1:])
	for _, text := range []string{"", "-1", "9", "few", "2,2"} {
		_, err := parseAttributes(text)
		require.Error(t, err, text)
	}
}

// steadyMemory is read every second, with the same number of bytes each time.
func steadyMemory(seconds int, bytes float64) (list []memoryAt) {
	for i := range seconds {
		list = append(list, memoryAt{time.Duration(i) * time.Second, bytes})
	}
	return list
}

func TestLoadFigures(t *testing.T) {
	t.Parallel()
	seen := loadSeen{
		window: 4 * time.Second, arrived: 200_000, zipped: 150_000, cpu: time.Second,
		well:   tally{accepted: 5, refused: 3},
		memory: append(steadyMemory(10, 20e6), memoryAt{10 * time.Second, 40e6}),
		after:  7e6, missing: 2,
	}
	o := observations{}
	seen.observe(o)
	require.Equal(t, observations{
		keySpanRate: {50_000}, keySpanCPURate: {200_000}, keySpanCPU: {5}, keyLoadPeak: {40e6}, keyLoadEnd: {30e6},
		keyLoadAfter: {7e6}, keyRefused: {3}, keyLoadMissing: {2}, keyZipped: {0.75},
	}, o)

	bare := bareCosts{compressionGzip: {2}, compressionNone: {0.5}}
	row := newLoadRow(subject{name: nameLayer, budgeted: true}, loadCell{protocolGRPC, 8, atRemote, 2}, o, bare)
	require.Equal(t, loadCell{protocolGRPC, 8, atRemote, 2}, row.cell())
	require.Equal(t, compressionGzip, row.Compression)
	require.InDelta(t, 2.5, row.Figures[keySpanCPU].Budget, 1e-9)
	require.False(t, row.Figures[keySpanCPU].kept())
	require.InDelta(t, 2.5, row.Figures[keySpanCPU].BareRatio, 1e-9)
	require.Zero(t, newLoadRow(subject{}, loadCell{}, o, bare).Figures[keySpanCPU].Budget, "budgets are the layer's")

	o[keyZipped] = []float64{0}
	row = newLoadRow(subject{budgeted: true}, loadCell{protocolGRPC, 8, atLoopback, 2}, o, bare)
	require.Equal(t, compressionNone, row.Compression)
	require.InDelta(t, 10, row.Figures[keySpanCPU].BareRatio, 1e-9, "nobody has to compress")
	require.InDelta(t, 2.5, row.Figures[keySpanCPU].Budget, 1e-9, "the same for both")

	stock := newLoadRow(subject{name: nameStock}, row.cell(), observations{keySpanCPU: {9.6}}, bare)
	row.against(stock)
	require.InDelta(t, 5/9.6, row.Figures[keySpanCPU].StockRatio, 1e-9)
	require.InDelta(t, 2, row.Figures[keySpanCPU].SpeedFactor, 1e-9, "the layer that this one replaces took 4.8")
	require.InDelta(t, 5, row.Figures[keySpanCPU].BudgetAtSpeed, 1e-9)
	require.True(t, row.Figures[keySpanCPU].keptAtSpeed())

	nothing := observations{}
	loadSeen{window: time.Second, memory: steadyMemory(1, 1)}.observe(nothing)
	require.NotContains(t, nothing, keySpanCPU, "nothing is divided by nothing")
	row.against(newLoadRow(subject{}, loadCell{}, nothing, nil))
	require.InDelta(t, 5, row.Figures[keySpanCPU].BudgetAtSpeed, 1e-9, "as it was")
	row = newLoadRow(subject{}, loadCell{}, nothing, nil)
	require.NotContains(t, row.Figures, keySpanCPU)
	require.Equal(t, compressionNone, row.Compression)
}

func TestLoadPromises(t *testing.T) {
	t.Parallel()
	well := func() loadSeen {
		return loadSeen{
			well:   tally{accepted: 100, spans: 1000},
			hung:   tally{accepted: 10, refused: 7, spans: 100, statuses: map[string]int{"503: full": 7}},
			memory: steadyMemory(60, 100e6), idle: 5e6, peak: 200e6, after: 20e6,
		}
	}
	for name, c := range map[string]struct {
		change func(*loadSeen)
		broken []string
	}{
		"as it should be": {func(*loadSeen) {}, []string{"", "", "", "", ""}},
		"growing": {func(s *loadSeen) {
			for i := 50; i < 60; i++ {
				s.memory[i].anonymous = 150e6
			}
		}, []string{"100.00 MB after 10s, 150.00 MB in the end", "", "", "", ""}},
		"no more than a garbage collection": {func(s *loadSeen) {
			for i := 50; i < 60; i++ {
				s.memory[i].anonymous = 111e6
			}
		}, []string{"", "", "", "", ""}},
		"refused while the backend answers": {func(s *loadSeen) {
			s.well.refused, s.well.statuses = 3, map[string]int{"503: full": 2, "429": 1}
		}, []string{"", "3 of 103 requests: 1 × 429, 2 × 503: full", "", "", ""}},
		"nothing refused at all": {func(s *loadSeen) { s.hung = tally{accepted: 10} },
			[]string{"", "", "nothing was refused", "", ""}},
		"refused for good": {func(s *loadSeen) {
			s.hung.wrong, s.hung.statuses = 2, map[string]int{"503: full": 5, "400": 2}
		}, []string{"", "", "2 of 7 refusals make SDKs drop the data: 2 × 400, 5 × 503: full", "", ""}},
		"memory kept": {func(s *loadSeen) { s.after = 25e6 },
			[]string{"", "", "", "5.00 MB before, up to 200.00 MB under load, 25.00 MB after", ""}},
		"lost": {func(s *loadSeen) { s.missing = 4 }, []string{"", "", "", "", "4 of 1100 items"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := well()
			c.change(&seen)
			p := newLoadPromises()
			p.judge("layer", loadCell{protocolHTTP, 64, atRemote, 2}, seen)
			for i, each := range p.list() {
				require.Equal(t, 1, each.Cells)
				if c.broken[i] == "" {
					require.Empty(t, each.Broken, each.Text)
				} else {
					require.Equal(t, []string{"layer, 2 attributes, http, 64 connections, remote: " + c.broken[i]}, each.Broken)
				}
			}
		})
	}
	require.Equal(t, "layer, 2 attributes, http, 64 connections, remote: MB before 5.00, under load up to 100.00, "+
		"backend hangs up to 200.00, after 20.00; refused under load: none; while the backend hung: 7 × 503: full",
		well().note("layer", loadCell{protocolHTTP, 64, atRemote, 2}))
}

func TestBetween(t *testing.T) {
	t.Parallel()
	s := loadSeen{memory: []memoryAt{{0, 1}, {time.Second, 2}, {2 * time.Second, 3}, {3 * time.Second, 9}}}
	require.InDelta(t, 3, s.between(time.Second, 3*time.Second), 1e-9)
	require.Zero(t, s.between(time.Minute, time.Hour))
}

func TestTally(t *testing.T) {
	t.Parallel()
	var all tally
	all.add(verdict{accepted: true}, payload{spans: 10})
	all.add(verdict{name: "503", retryable: true}, payload{spans: 10})
	before := all.minus(tally{})
	all.add(verdict{name: "503", retryable: true}, payload{spans: 10})
	all.add(verdict{name: "400"}, payload{spans: 10})
	require.Equal(t, tally{accepted: 1, refused: 1, spans: 10, statuses: map[string]int{"503": 1}}, before)
	require.Equal(t, tally{
		accepted: 1, refused: 3, spans: 10, wrong: 1, statuses: map[string]int{"503": 2, "400": 1},
	}, all)
	require.Equal(t, tally{refused: 2, wrong: 1, statuses: map[string]int{"503": 1, "400": 1}}, all.minus(before))
	require.Equal(t, "1 × 400, 2 × 503", all.kinds())
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	for _, attributes := range []int{0, mostAttributes} {
		list, err := payloads(attributes)
		require.NoError(t, err)
		again, err := payloads(attributes)
		require.NoError(t, err)
		require.Len(t, again, len(list))
		sizes := map[int]int{}
		for i, p := range list {
			require.True(t, bytes.Equal(p.body, again[i].body), "the same in every run")
			n, err := countSpans(p.body)
			require.NoError(t, err)
			require.Equal(t, p.spans, n)
			sizes[n]++
		}
		require.Len(t, sizes, mostSpans/spanStep)
		require.Equal(t, payloadRounds, sizes[10])
		require.Equal(t, payloadRounds, sizes[100])
	}
	few, err := payloads(0)
	require.NoError(t, err)
	many, err := payloads(mostAttributes)
	require.NoError(t, err)
	require.Greater(t, spanSize(many), 3*spanSize(few))
}

func TestBareCost(t *testing.T) {
	t.Parallel()
	load, err := payloads(1)
	require.NoError(t, err)
	costs := bareCosts{}
	require.NoError(t, costs.measure(load))
	require.NoError(t, costs.measure(load))
	for _, compression := range []string{compressionGzip, compressionNone} {
		require.Len(t, costs[compression], 2)
		require.Positive(t, costs[compression][0])
	}
	require.ErrorContains(t, costs.measure([]payload{{body: []byte("not a request")}}), "decode the load")
}

func TestCountSpans(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"text":             "what is this",
		"broken off":       "\x0a\x10\x12",
		"in resource":      "\x0a\x02\x12\x05",
		"unknown wire":     "\x0f",
		"field broken off": "\x15\x01",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := countSpans([]byte(body))
			require.ErrorIs(t, err, errNotTraces)
		})
	}
	n, err := countSpans(nil)
	require.NoError(t, err)
	require.Zero(t, n)

	both := ptrace.NewTraces()
	for scope, spans := range map[string]int{"of the function": 2, "of the layer" + layerScope: 3} {
		of := both.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		of.Scope().SetName(scope)
		for range spans {
			of.Spans().AppendEmpty().SetName("a span")
		}
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(both).MarshalProto()
	require.NoError(t, err)
	n, err = countSpans(body)
	require.NoError(t, err)
	require.Equal(t, 2, n)
}
