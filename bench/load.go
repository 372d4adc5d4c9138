// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	// loadWarmUp is how long there is load before it counts.
	loadWarmUp = time.Second
	// sustainedTime is from when on load is long enough to be judged, and is followed by a backend that hangs.
	sustainedTime = 30 * time.Second
	// mostLoadTime leaves room below Lambda's longest timeout.
	mostLoadTime = 12 * time.Minute
	// usualLoadRuns is how many environments of each kind there are, where one does not take long.
	usualLoadRuns = 3
	// settledTime is how long the memory may take to settle under load.
	settledTime = 10 * time.Second
	// compared is how long each of the two times is in which the memory is compared.
	compared = 5 * time.Second
	// hungTime is how long the backend hangs. decouple gives up a request after 30 s, and drops old data from then on
	// instead of refusing new.
	hungTime = 15 * time.Second
	// sampleEvery is how often the memory is read.
	sampleEvery = 100 * time.Millisecond

	// growthShare and growthBytes are how much more memory is no growth: a garbage collection more or less.
	growthShare, growthBytes = 0.1, 1e6
	// idleShare is how much of what the load added may be left in memory after the next invocation.
	idleShare = 0.1

	// labSpanCPU is how many milliseconds of CPU 1,000 spans took the layer that this one is to replace, on the machine
	// that the limits are from.
	labSpanCPU = 4.8
)

// Where the backend is, as the layer sees it. It always is on this machine.
const (
	// atRemote is by an address that is not taken for a loopback address, so that the layer does what it does for a
	// backend elsewhere.
	atRemote   = "remote"
	atLoopback = "loopback"
)

// What spans arrive with at the backend.
const (
	compressionGzip = "gzip"
	compressionNone = "none"
)

// loadCell is a way to send.
type loadCell struct {
	protocol    string
	connections int
	backend     string
	// attributes are those of each span.
	attributes int
}

func (c loadCell) name() string {
	return fmt.Sprintf("%d attributes, %s, %d connections, %s", c.attributes, c.protocol, c.connections, c.backend)
}

// endpoint is a loopback endpoint as the layer is told of it.
func (c loadCell) endpoint(loopback string) string {
	if c.backend == atRemote {
		return otlpsink.Remote(loopback)
	}
	return loopback
}

// parseBackends reads a list such as remote,loopback.
func parseBackends(text string) (list []string, err error) {
	for field := range strings.SplitSeq(text, ",") {
		field = strings.TrimSpace(field)
		if field != atRemote && field != atLoopback {
			return nil, fmt.Errorf("%q is neither %s nor %s", field, atRemote, atLoopback)
		}
		if slices.Contains(list, field) {
			return nil, fmt.Errorf("%s is given twice", field)
		}
		list = append(list, field)
	}
	return list, nil
}

// parseConnections reads a list such as 1,8,64.
func parseConnections(text string) (list []int, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of connections", field)
		}
		if slices.Contains(list, n) {
			return nil, fmt.Errorf("%d is given twice", n)
		}
		list = append(list, n)
	}
	return list, nil
}

// parseAttributes reads a list such as 2,8.
func parseAttributes(text string) (list []int, err error) {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 0 || n > mostAttributes {
			return nil, fmt.Errorf("%q is not a number from 0 to %d", field, mostAttributes)
		}
		if slices.Contains(list, n) {
			return nil, fmt.Errorf("%d is given twice", n)
		}
		list = append(list, n)
	}
	return list, nil
}

// loadCells are all ways to send spans with the first number of attributes to each backend. Beside a remote one, a single
// cell tells what compression costs; and a cell for each protocol tells what other numbers of attributes do.
func (set settings) loadCells() (cells []loadCell) {
	for i, attributes := range set.attributes {
		for j, backend := range set.backends {
			protocols, connections := []string{protocolHTTP, protocolGRPC}, set.connections
			switch most := []int{slices.Max(connections)}; {
			case i > 0 && j > 0:
				continue
			case backend == atLoopback && len(set.backends) > 1:
				protocols, connections = protocols[:1], most
			case i > 0:
				connections = most
			}
			for _, protocol := range protocols {
				for _, n := range connections {
					cells = append(cells, loadCell{protocol, n, backend, attributes})
				}
			}
		}
	}
	return cells
}

// sustained reports whether the load is long enough to be judged.
func (set settings) sustained() bool { return set.loadTime >= sustainedTime }

// memoryAt is what was resident some time after the load began.
type memoryAt struct {
	since     time.Duration
	anonymous float64
}

// loadSeen is what was seen of one environment under load.
type loadSeen struct {
	// window is the time that counts, arrived and cpu what was done in it. Of the spans that arrived, so many were zipped.
	window          time.Duration
	arrived, zipped int
	cpu             time.Duration
	// well is what the senders saw while the backend answered, hung while it did not.
	well, hung tally
	// memory was read again and again while the backend answered; idle is from before the load, peak from while the
	// backend hung, and after from the end of the invocation that followed.
	memory            []memoryAt
	idle, peak, after float64
	// missing are spans that were accepted and had not arrived when the environment had ended.
	missing int
}

// The keys of the figures of load, which are those of the JSON as well.
const (
	keySpanRate    = "spans_per_second"
	keySpanCPURate = "spans_per_cpu_second"
	keySpanCPU     = "cpu_ms_per_1000_spans"
	keyLoadPeak    = "load_rss_anon_max_bytes"
	keyLoadEnd     = "load_rss_anon_end_bytes"
	keyLoadAfter   = "load_rss_anon_after_bytes"
	keyRefused     = "requests_refused"
	keyLoadMissing = "spans_missing"
	// keyZipped is no figure: it tells which compression there was.
	keyZipped = "spans_compressed_share"
)

// loadFigures are the columns of the table of load.
func loadFigures() []figure {
	return []figure{
		{
			key: keySpanRate, title: "throughput", unit: unit{"1,000 spans/s", 1000, 1},
			means: "what arrived at the backend; the senders wait for each answer before they send again",
		},
		{
			key: keySpanCPURate, title: "per second of CPU", unit: unit{"1,000 spans", 1000, 1},
			means: "the same divided by user and system time of all processes of the extension",
		},
		{
			key: keySpanCPU, title: "CPU for 1,000 spans", unit: milliseconds, budget: budget{limit: 2.5, pace: paceCPU},
			means: "the same the other way round",
		},
		{
			key: keyLoadPeak, title: "anonymous, highest", unit: megabytes,
			means: fmt.Sprintf("RssAnon of all processes, read every %s while there is load", sampleEvery),
		},
		{
			key: keyLoadEnd, title: "anonymous at the end", unit: megabytes,
			means: "the median of the last tenth of the time with load",
		},
		{
			key: keyLoadAfter, title: "anonymous after", unit: megabytes,
			means: "when the next invocation, without load, has ended",
		},
		{
			key: keyRefused, title: "refused", unit: items,
			means: "requests that the collector did not take, and that were sent again later",
		},
		{
			key: keyLoadMissing, title: "missing", unit: items,
			means: "spans that were accepted and had not arrived when the environment had ended",
		},
	}
}

func (s loadSeen) observe(to observations) {
	spans, cpu := float64(s.arrived), s.cpu.Seconds()
	to.add(keySpanRate, spans/s.window.Seconds())
	if spans > 0 {
		to.add(keyZipped, float64(s.zipped)/spans)
	}
	if spans > 0 && cpu > 0 {
		to.add(keySpanCPURate, spans/cpu)
		to.add(keySpanCPU, 1e6*cpu/spans)
	}
	highest, until := 0.0, time.Duration(0)
	for _, m := range s.memory {
		highest, until = max(highest, m.anonymous), max(until, m.since)
	}
	to.add(keyLoadPeak, highest)
	to.add(keyLoadEnd, s.between(until-until/10, until))
	to.add(keyLoadAfter, s.after)
	to.add(keyRefused, float64(s.well.refused))
	to.add(keyLoadMissing, float64(s.missing))
}

// between is the median of the memory in a time, 0 if it was not read then.
func (s loadSeen) between(from, to time.Duration) float64 {
	var in []float64
	for _, m := range s.memory {
		if from <= m.since && m.since <= to {
			in = append(in, m.anonymous)
		}
	}
	if len(in) == 0 {
		return 0
	}
	return summarise(in).Median
}

// loadRow is a line of the table.
type loadRow struct {
	Subject string `json:"subject"`
	// Attributes are those of each span.
	Attributes  int    `json:"attributes"`
	Protocol    string `json:"protocol"`
	Connections int    `json:"connections"`
	// Backend is where it is, Compression what most spans arrived with.
	Backend     string             `json:"backend"`
	Compression string             `json:"compression"`
	Figures     map[string]outcome `json:"figures"`

	observed observations
}

func (r loadRow) cell() loadCell { return loadCell{r.Protocol, r.Connections, r.Backend, r.Attributes} }

// against adds how the row's CPU compares with that of a stock Collector for the same spans, and what that makes of the
// limit: the two are of the same work and machine, as the limit and labSpanCPU are.
func (r loadRow) against(stock loadRow) {
	mine, theirs := r.Figures[keySpanCPU], stock.Figures[keySpanCPU]
	if theirs.Median > 0 {
		mine.StockRatio = mine.Median / theirs.Median
		r.Figures[keySpanCPU] = mine.atSpeed(theirs.Median / labSpanCPU)
	}
}

// newLoadRow takes the cost of the bare work as well, of which it expects one sample at least.
func newLoadRow(s subject, c loadCell, observed observations, bare bareCosts) loadRow {
	row := loadRow{
		Subject: s.name, Attributes: c.attributes, Protocol: c.protocol, Connections: c.connections, Backend: c.backend,
		Compression: compressionNone, Figures: map[string]outcome{}, observed: observed,
	}
	// Not all: a request that is too small goes as it is.
	if zipped := observed[keyZipped]; len(zipped) > 0 && summarise(zipped).Median > 0.5 {
		row.Compression = compressionGzip
	}
	for _, f := range loadFigures() {
		if len(observed[f.key]) == 0 {
			continue
		}
		o := outcome{summary: summarise(observed[f.key])}
		if s.budgeted {
			o.Budget = f.budget.limit
		}
		if f.key == keySpanCPU {
			o.BareRatio = o.Median / summarise(bare[row.Compression]).Median
		}
		row.Figures[f.key] = o
	}
	return row
}

// loadPromises are what a sustained load is judged by.
type loadPromises struct{ growth, below, above, idle, missing promise }

func newLoadPromises() *loadPromises {
	return &loadPromises{
		growth: promise{Text: fmt.Sprintf("memory does not grow under a load that lasts, after the first %s", settledTime)},
		below:  promise{Text: "nothing is refused while the backend answers"},
		above: promise{Text: fmt.Sprintf(
			"when the backend has hung for %s, what is too much is refused such that SDKs send it again", hungTime)},
		idle:    promise{Text: "the next invocation without load gives the memory back"},
		missing: promise{Text: "what was accepted arrives"},
	}
}

func (p *loadPromises) list() []promise {
	return []promise{p.growth, p.below, p.above, p.idle, p.missing}
}

// judge adds what was seen of a cell.
func (p *loadPromises) judge(subject string, c loadCell, s loadSeen) {
	name := subject + ", " + c.name()
	p.growth.add(name, s.growthBroken())
	p.below.add(name, ofRequests(s.well))
	p.above.add(name, s.refusalBroken())
	p.idle.add(name, s.idleBroken())
	p.missing.add(name, ofItems(s.missing, s.well.spans+s.hung.spans))
}

// note is what else there is to know of a load that is judged.
func (s loadSeen) note(subject string, c loadCell) string {
	highest := 0.0
	for _, m := range s.memory {
		highest = max(highest, m.anonymous)
	}
	refused := func(t tally) string {
		if t.refused == 0 {
			return "none"
		}
		return t.kinds()
	}
	return fmt.Sprintf("%s, %s: MB before %s, under load up to %s, backend hangs up to %s, after %s; "+
		"refused under load: %s; while the backend hung: %s", subject, c.name(), megabytes.text(s.idle),
		megabytes.text(highest), megabytes.text(s.peak), megabytes.text(s.after), refused(s.well), refused(s.hung))
}

func (s loadSeen) growthBroken() string {
	end := s.memory[len(s.memory)-1].since
	early, late := s.between(settledTime, settledTime+compared), s.between(end-compared, end)
	if late <= early*(1+growthShare)+growthBytes {
		return ""
	}
	return fmt.Sprintf("%s MB after %s, %s MB in the end", megabytes.text(early), settledTime, megabytes.text(late))
}

func ofRequests(t tally) string {
	if t.refused == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d requests: %s", t.refused, t.accepted+t.refused, t.kinds())
}

// kinds lists the statuses of the refusals.
func (t tally) kinds() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(t.statuses)) {
		list = append(list, fmt.Sprintf("%d × %s", t.statuses[name], name))
	}
	return strings.Join(list, ", ")
}

func (s loadSeen) refusalBroken() string {
	switch {
	case s.hung.refused == 0:
		return "nothing was refused"
	case s.hung.wrong > 0:
		return fmt.Sprintf("%d of %d refusals make SDKs drop the data: %s", s.hung.wrong, s.hung.refused, s.hung.kinds())
	}
	return ""
}

func (s loadSeen) idleBroken() string {
	highest := s.peak
	for _, m := range s.memory {
		highest = max(highest, m.anonymous)
	}
	if s.after <= s.idle+idleShare*(highest-s.idle) {
		return ""
	}
	return fmt.Sprintf("%s MB before, up to %s MB under load, %s MB after",
		megabytes.text(s.idle), megabytes.text(highest), megabytes.text(s.after))
}

var errNoLoad = errors.New("nothing arrived at the backend")
