// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"time"
)

const (
	// usualDecodeRuns is how many samples there are of each way with each kind of telemetry, decodePasses how often the
	// telemetry is worked through for one: long enough for some garbage collections.
	usualDecodeRuns = 15
	decodePasses    = 10
)

// The keys of the figures of decoding, which are those of the JSON as well.
const (
	keyEventCPU    = "cpu_ns_per_event"
	keyEventTime   = "ns_per_event"
	keyEventAllocs = "allocs_per_event"
	keyEventBytes  = "allocated_bytes_per_event"
)

// decodeFigures are the rows of each table of decoding.
func decodeFigures() []figure {
	return []figure{
		{
			key: keyEventCPU, title: "CPU per event", unit: unit{"ns", 1, 0}, budget: budget{maps: 1},
			means: "user and system time of the process, with garbage collection",
		},
		{key: keyEventTime, title: "time per event", unit: unit{"ns", 1, 0}, means: "the same by the clock, on one CPU"},
		{
			key: keyEventAllocs, title: "allocations per event", unit: unit{"", 1, 2},
			means: "how many objects are allocated on the heap",
		},
		{key: keyEventBytes, title: "allocated per event", unit: unit{"bytes", 1, 0}, means: "how much they take"},
	}
}

// decodeRow is what was found with one kind of telemetry.
type decodeRow struct {
	Telemetry string `json:"telemetry"`
	// Deliveries is how many bodies there are, Bytes their size, Events the elements of their arrays, and Records what log
	// records are made of these.
	Deliveries int `json:"deliveries"`
	Bytes      int `json:"bytes"`
	Events     int `json:"events"`
	Records    int `json:"records"`
	// Ways are in the order of the table's columns.
	Ways []result `json:"ways"`

	lines bool
}

// newDecodeRow takes the observations in the order of the ways.
func newDecodeRow(t telemetry, list []way, observed []observations) decodeRow {
	row := decodeRow{
		Telemetry: t.name, Deliveries: len(t.bodies), Bytes: t.size(), Events: t.events, Records: t.records, lines: t.lines,
	}
	maps := observations{}
	for i, w := range list {
		if w.name == nameMaps {
			maps = observed[i]
		}
	}
	for i, w := range list {
		r := result{Name: w.name, Figures: map[string]outcome{}}
		for _, f := range decodeFigures() {
			if len(observed[i][f.key]) == 0 {
				continue
			}
			o := outcome{summary: summarise(observed[i][f.key])}
			if by, ok := ratioOf(observed[i][f.key], maps[f.key]); ok && w.name != nameMaps {
				o.MapsRatio = &by
			}
			if w.name == nameMapper && t.lines && len(maps[f.key]) > 0 {
				o.Budget = f.budget.maps * summarise(maps[f.key]).Median
			}
			r.Figures[f.key] = o
		}
		row.Ways = append(row.Ways, r)
	}
	return row
}

// decodePromise is what the rows with lines are judged by.
func decodePromise(rows []decodeRow) promise {
	p := promise{Text: fmt.Sprintf("a batch of %d MiB, of %d lines at most, costs less CPU than decoding it into map[string]any",
		batchBytes>>20, batchEvents)}
	for _, row := range rows {
		if !row.lines {
			continue
		}
		for _, w := range row.Ways {
			o := w.Figures[keyEventCPU]
			if w.Name != nameMapper || o.MapsRatio == nil {
				continue
			}
			broken := ""
			if o.MapsRatio.Median >= 1 {
				broken = fmt.Sprintf("%.2f times as much", o.MapsRatio.Median)
			}
			p.add(row.Telemetry, broken)
		}
	}
	return p
}

// measureDecode goes round the ways with all telemetry, each time in another order. It gives the process one CPU, as
// Lambda gives a function of up to 1,769 MB.
func measureDecode(ctx context.Context, runs int, progress io.Writer) ([]decodeRow, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	all, err := allTelemetry()
	if err != nil {
		return nil, err
	}
	list := ways()
	observed := make([][]observations, len(all))
	for i := range all {
		observed[i] = make([]observations, len(list))
		for j := range list {
			observed[i][j] = observations{}
		}
	}
	round := func(discard bool) error {
		for _, n := range rand.Perm(len(all) * len(list)) {
			t, w := n/len(list), n%len(list)
			to := observed[t][w]
			if discard {
				to = observations{}
			}
			if err := list[w].sample(ctx, all[t], decodePasses, to); err != nil {
				return fmt.Errorf("%s, %s: %w", list[w].name, all[t].name, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
	// The heap grows in the first.
	if err := round(true); err != nil {
		return nil, err
	}
	for i := range runs {
		fmt.Fprintf(progress, "decode, run %d of %d\n", i+1, runs)
		if err := round(false); err != nil {
			return nil, err
		}
	}
	rows := make([]decodeRow, len(all))
	for i, t := range all {
		rows[i] = newDecodeRow(t, list, observed[i])
	}
	return rows, nil
}

// sample works through the telemetry a number of times, as in environments that follow each other: the same events twice
// in one environment would be taken for what they are, and cost less.
func (w way) sample(ctx context.Context, t telemetry, passes int, to observations) (err error) {
	handlers := make([]handler, passes)
	for i := range handlers {
		if handlers[i], err = w.open(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, handlers[i].close(ctx)) }()
		for _, body := range t.before {
			if _, err := handlers[i].handle(ctx, body); err != nil {
				return err
			}
		}
	}
	seen := 0
	used, err := measureUse(func() error {
		for _, h := range handlers {
			for _, body := range t.bodies {
				n, err := h.handle(ctx, body)
				if err != nil {
					return err
				}
				seen += n
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	want := t.records
	if w.name == nameDecoder {
		want = t.events
	}
	if seen != want*passes {
		return fmt.Errorf("%d of %d have come out", seen, want*passes)
	}
	used.observe(passes*t.events, to)
	return nil
}

// use is what some work takes of the process.
type use struct {
	cpu, time     time.Duration
	allocs, bytes uint64
}

// measureUse begins with as small a heap as there can be.
func measureUse(work func() error) (u use, err error) {
	self := []int{os.Getpid()}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, err := cpuTime(self)
	if err != nil {
		return u, err
	}
	began := time.Now()
	if err := work(); err != nil {
		return u, err
	}
	u.time = time.Since(began)
	until, err := cpuTime(self)
	if err != nil {
		return u, err
	}
	runtime.ReadMemStats(&after)
	u.cpu, u.allocs, u.bytes = until-cpu, after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return u, nil
}

func (u use) observe(events int, to observations) {
	n := float64(events)
	to.add(keyEventCPU, float64(u.cpu.Nanoseconds())/n)
	to.add(keyEventTime, float64(u.time.Nanoseconds())/n)
	to.add(keyEventAllocs, float64(u.allocs)/n)
	to.add(keyEventBytes, float64(u.bytes)/n)
}
