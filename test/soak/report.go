// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// progress is how far the soak is.
type progress struct {
	planned, environments int

	mu                sync.Mutex
	invocations, done int
	// items were accepted over OTLP; dropped ones, and those that Lambda delivers, are known at an environment's end.
	items, dropped, broken int
	running                map[int]*running
}

// running is an environment that has not ended.
type running struct {
	fault faultKind
	items int
}

func newProgress(p plan) *progress {
	return &progress{planned: p.invocations(), environments: len(p.environments), running: map[int]*running{}}
}

func (p *progress) begin(environment int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[environment] = &running{fault: healthy}
}

func (p *progress) fault(environment int, kind faultKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[environment].fault = kind
}

// invocation notes one more; items is what the environment has had accepted so far.
func (p *progress) invocation(environment, items int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.invocations++
	r := p.running[environment]
	p.items += items - r.items
	r.items = items
}

func (p *progress) end(o *outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	delete(p.running, o.plan.number)
	for _, b := range o.balances {
		p.dropped += sum(b.dropped)
	}
	if len(o.broken) > 0 {
		p.broken++
	}
}

// report writes a line every few seconds until it is stopped.
func (p *progress) report(w io.Writer) (stop func()) {
	ticker := time.NewTicker(progressEvery)
	over := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-ticker.C:
				_, _ = fmt.Fprintln(w, p)
			case <-over:
				return
			}
		}
	})
	return func() {
		ticker.Stop()
		close(over)
		writing.Wait()
	}
}

// String is the line.
func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var faults []string
	for _, number := range slices.Sorted(maps.Keys(p.running)) {
		faults = append(faults, fmt.Sprintf("%d %s", number, p.running[number].fault))
	}
	return fmt.Sprintf("%d/%d invocations, %d/%d environments (%d broken), %d items accepted, %d dropped; now %s",
		p.invocations, p.planned, p.done, p.environments, p.broken, p.items, p.dropped, strings.Join(faults, ", "))
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// total adds up the environments of one strategy.
type total struct {
	environments, invocations, resets, refused  int
	accepted, delivered, dropped, again, disput int
	holds                                       []time.Duration
	max                                         [processes]int64
}

// summary is what a soak has shown.
type summary struct {
	strategies map[string]*total
	faults     map[faultKind]int
	dropped    map[string]int
	duplicates map[string]int
	long       []longUsage
	broken     []brokenEnvironment
	took       time.Duration
	stalls     []stall
}

// longUsage is the memory of an environment that the memory rule is for.
type longUsage struct {
	number, invocations int
	strategy            string
	usage               [processes]usage
}

type brokenEnvironment struct {
	number int
	rules  []string
	log    string
}

func summarize(outcomes []outcome) summary {
	s := summary{
		strategies: map[string]*total{}, faults: map[faultKind]int{}, dropped: map[string]int{},
		duplicates: map[string]int{},
	}
	for i := range outcomes {
		s.add(&outcomes[i])
	}
	for _, t := range s.strategies {
		slices.Sort(t.holds)
	}
	return s
}

func (s *summary) add(o *outcome) {
	t := s.strategies[o.plan.strategy]
	if t == nil {
		t = &total{}
		s.strategies[o.plan.strategy] = t
	}
	t.environments++
	t.invocations += len(o.report.Invocations)
	t.refused += o.refused
	t.holds = append(t.holds, o.held()...)
	for _, step := range o.plan.steps {
		if step.change != nil && step.change.kind != healthy {
			s.faults[step.change.kind]++
		}
		if step.event.End.Kills() {
			t.resets++
		}
	}
	for _, b := range o.balances {
		t.accepted += b.accepted
		t.delivered += b.delivered
		t.dropped += sum(b.dropped)
		t.again += sum(b.duplicates)
		t.disput += b.disputed
		for reason, n := range b.dropped {
			s.dropped[reason] += n
		}
		for reason, n := range b.duplicates {
			s.duplicates[reason] += n
		}
	}
	l := longUsage{number: o.plan.number, invocations: len(o.samples), strategy: o.plan.strategy}
	for p := range processes {
		l.usage[p] = measure(o.samples, p)
		t.max[p] = max(t.max[p], l.usage[p].max)
	}
	if len(o.samples) >= longEnvironment {
		s.long = append(s.long, l)
	}
	if len(o.broken) > 0 {
		s.broken = append(s.broken, brokenEnvironment{number: o.plan.number, rules: o.broken, log: o.log})
	}
}

// write prints the summary, and how to make it again.
func (s *summary) write(w io.Writer, again string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "strategy\tenvironments\tinvocations\tresets\theld p50 (ms)\tp99\trefused requests\t"+
		"items accepted\tdelivered\tdropped\tdelivered and dropped\tduplicates explained\tguard max\tcollector max")
	for _, name := range slices.Sorted(maps.Keys(s.strategies)) {
		n := s.strategies[name]
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", name, n.environments,
			n.invocations, n.resets, milliseconds(quantile(n.holds, 0.5)), milliseconds(quantile(n.holds, 0.99)),
			n.refused, n.accepted, n.delivered, n.dropped, n.disput, n.again,
			mebibytes(n.max[guard]), mebibytes(n.max[collector]))
	}
	_, _ = fmt.Fprintln(t)
	writeCounts(t, "faults of the backend", s.faults)
	writeCounts(t, "items dropped", s.dropped)
	writeCounts(t, "duplicates explained", s.duplicates)
	_, _ = fmt.Fprintf(t, "the machine stood still: %s\n", describe(s.stalls))
	if len(s.long) > 0 {
		_, _ = fmt.Fprintln(t, "memory of long environments\tstrategy\tinvocations\tguard growth\tslope (KiB per 1,000)\t"+
			"collector growth\tslope")
	}
	for _, l := range s.long {
		_, _ = fmt.Fprintf(t, "environment %d\t%s\t%d\t%s\t%.0f\t%s\t%.0f\n", l.number, l.strategy, l.invocations,
			mebibytes(l.usage[guard].growth), l.usage[guard].slope/(1<<10),
			mebibytes(l.usage[collector].growth), l.usage[collector].slope/(1<<10))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range s.broken {
		writeBroken(w, b, again)
	}
	verdict := "every rule holds"
	if n := len(s.broken); n > 0 {
		verdict = fmt.Sprintf("%d environments broke a rule", n)
	}
	_, err := fmt.Fprintf(w, "\n%s; it took %s. Once more: %s\n", verdict, s.took.Round(time.Second), again)
	return err
}

func writeCounts[K cmp.Ordered](w io.Writer, title string, counts map[K]int) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%v: %d", name, counts[name]))
	}
	_, _ = fmt.Fprintf(w, "%s: %s\n", title, cmp.Or(strings.Join(parts, ", "), "none"))
}

const (
	// mostRules and mostLines are what is shown of an environment that broke rules: one cause breaks many.
	mostRules = 20
	mostLines = 30
)

func writeBroken(w io.Writer, b brokenEnvironment, again string) {
	_, _ = fmt.Fprintf(w, "\nenvironment %d breaks a rule; alone: %s -only %d\n", b.number, again, b.number)
	for i, rule := range b.rules {
		if i == mostRules {
			_, _ = fmt.Fprintf(w, "  … and %d more\n", len(b.rules)-i)
			break
		}
		_, _ = fmt.Fprintf(w, "  %s\n", rule)
	}
	lines := strings.SplitAfter(b.log, "\n")
	lines = lines[max(0, len(lines)-mostLines):]
	_, _ = fmt.Fprintf(w, "the last that its processes said (all of it with -logs):\n%s", strings.Join(lines, ""))
}

// quantile of sorted durations; 0 of none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
