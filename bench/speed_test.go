// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpeed(t *testing.T) {
	t.Parallel()
	subjects := []subject{{name: nameLayer}, {name: nameRaw}, {name: nameNetHTTP}}
	floor := func(o observations) []observations {
		other := observations{keyFirstNext: {99}, keyFirstNextCPU: {99}}
		return []observations{other, other, o}
	}
	small := condition{memoryMB: 512, share: 0.289}
	whole := observations{keyFirstNext: {6.2, 1, 50}, keyFirstNextCPU: {1.55}, prefixUncached + keyFirstNext: {20}}
	for name, c := range map[string]struct {
		list []conditionCosts
		want speed
	}{
		"slower in time, faster in CPU": {[]conditionCosts{{unlimited(), floor(whole)}}, speed{2, 0.5}},
		"not with a share": {
			[]conditionCosts{
				{unlimited(), floor(whole)}, {small, floor(observations{keyFirstNext: {31}, keyFirstNextCPU: {31}})},
			},
			speed{2, 0.5},
		},
		"only with a share": {[]conditionCosts{{small, floor(whole)}}, speed{}},
		"nothing of it":     {[]conditionCosts{{unlimited(), floor(observations{})}}, speed{}},
		"nothing":           {nil, speed{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, speedOf(subjects, c.list))
		})
	}
}

func TestSpeedFactor(t *testing.T) {
	t.Parallel()
	s := speed{FirstNext: 2, CPU: 0.5}
	small := condition{memoryMB: 512, share: 0.289}
	for name, c := range map[string]struct {
		pace pace
		c    condition
		want float64
	}{
		"first next":            {paceFirstNext, unlimited(), 2},
		"first next in a share": {paceFirstNext, small, 0.5},
		"CPU":                   {paceCPU, unlimited(), 0.5},
		"none":                  {paceNone, unlimited(), 0},
		"none in a share":       {paceNone, small, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.InDelta(t, c.want, s.factor(c.pace, c.c), 1e-9)
			require.Zero(t, speed{}.factor(c.pace, c.c), "of a speed that is not known")
		})
	}
}

// TestPaces has each budget once: one that is forgotten is judged as if all machines were alike.
func TestPaces(t *testing.T) {
	t.Parallel()
	got := map[string]pace{}
	for _, f := range append(figures(), append(loadFigures(), decodeFigures()...)...) {
		if b := f.budget; b != (budget{}) {
			got[f.key] = b.pace
		}
	}
	require.Equal(t, map[string]pace{
		keyFirstNext:                      paceFirstNext,
		keyFirstNextCPU:                   paceCPU,
		keyFirstCPU:                       paceCPU,
		keyInvocationCPU:                  paceCPU,
		prefixFrequent + keyInvocationCPU: paceCPU,
		prefixUncached + keyFirstNext:     paceCPU,
		keySpanCPU:                        paceCPU,

		keyRegister: paceNone,
		keyHeld:     paceNone,
		keyZip:      paceNone,
		prefixReady + processAll + suffixAnonymous: paceNone,
		prefixEnd + processAll + suffixAnonymous:   paceNone,
		keyEventCPU:                                paceNone,
	}, got)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	f := figure{unit: milliseconds}
	for name, c := range map[string]struct {
		median, budget, factor float64
		want                   string
		kept, keptAtSpeed      bool
	}{
		"no budget":               {20, 0, 2, "", true, true},
		"speed does not matter":   {20, 14, 0, "14.00, exceeded", false, false},
		"kept, whatever speed":    {14, 14, 0, "14.00, kept", true, true},
		"excused":                 {20, 14, 1.67, "14.00, exceeded; at this speed (× 1.67) 23.38, kept", false, true},
		"not excused":             {24, 14, 1.67, "14.00, exceeded; at this speed (× 1.67) 23.38, exceeded", false, false},
		"too slow for the faster": {10, 14, 0.5, "14.00, kept; at this speed (× 0.50) 7.00, exceeded", true, false},
		"fast on the faster":      {7, 14, 0.5, "14.00, kept; at this speed (× 0.50) 7.00, kept", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := outcome{summary: summary{Median: c.median}, Budget: c.budget}.atSpeed(c.factor)
			require.Equal(t, c.want, f.verdict(o))
			require.Equal(t, c.kept, o.kept())
			require.Equal(t, c.keptAtSpeed, o.keptAtSpeed())
		})
	}
}

func TestSpeedOfLoadAlone(t *testing.T) {
	t.Parallel()
	row := func() loads {
		o, bare := observations{keySpanCPU: {3}, keyRefused: {0}}, bareCosts{compressionNone: {1}}
		return loads{rows: []loadRow{newLoadRow(subject{budgeted: true}, loadCell{protocolHTTP, 1, atRemote, 2}, o, bare)}}
	}
	var d document
	d.addLoad(settings{}, row())
	require.Zero(t, d.Load[0].Figures[keySpanCPU].BudgetAtSpeed)
	var text strings.Builder
	writeBudgets(&text, d)
	require.Equal(t, "\nbudgets: 0 of 1 kept\n- load, 2 attributes, http, 1 connections, remote, CPU for 1,000 spans, ms: "+
		"3.00 of 2.50, exceeded\n", text.String())
	encoded, err := json.Marshal(d)
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "speed")

	d = document{Speed: speed{FirstNext: 3, CPU: 2}}
	d.addLoad(settings{}, row())
	require.InDelta(t, 5, d.Load[0].Figures[keySpanCPU].BudgetAtSpeed, 1e-9)
	require.Zero(t, d.Load[0].Figures[keyRefused].SpeedFactor, "it has no budget")
	text.Reset()
	writeBudgets(&text, d)
	require.Equal(t, "\nbudgets: 0 of 1 kept\nat the speed of this machine: 1 of 1 kept\n- load, 2 attributes, http, 1 connections, remote, "+
		"CPU for 1,000 spans, ms: 3.00 of 2.50, exceeded; at this speed (× 2.00) 5.00, kept\n", text.String())

	stocked := row()
	stock := newLoadRow(subject{name: nameStock}, stocked.rows[0].cell(), observations{keySpanCPU: {9.6}}, bareCosts{compressionNone: {1}})
	stocked.rows = append(stocked.rows, stock)
	same := document{Speed: speed{FirstNext: 3, CPU: 7}}
	same.addLoad(settings{}, stocked)
	text.Reset()
	writeBudgets(&text, same)
	require.Contains(t, text.String(), "3.00 of 2.50, exceeded; 0.52 × stock 5.00, kept\n", "rather than the speed alone")
	require.Zero(t, same.Load[1].Figures[keySpanCPU].Budget)

	encoded, err = json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"speed_factors":{"first_next":3,"cpu":2}`)
	require.Contains(t, string(encoded), `"budget":2.5,"speed_factor":2,"budget_at_speed":5`)
}
