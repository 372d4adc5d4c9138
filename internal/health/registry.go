// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Interval is the least time between two regular reports. They cost a request, which a layer that is well should need
// seldom.
const Interval = time.Minute

// Attribute tells the counts of one metric apart.
type Attribute struct{ Key, Value string }

// Count is one count, or one level, of a metric.
type Count struct {
	Metric     Metric
	Attributes []Attribute
	// Total is what has been counted since Since, or the level.
	Total int64
	Since time.Time
}

// Registry keeps counts. It is for several goroutines.
type Registry struct {
	since time.Time

	mu       sync.Mutex
	counts   []*entry
	levels   []*level
	reported time.Time
	final    bool // the last report has been made
}

type entry struct {
	Count
	// reported is the total that Report was successful with.
	reported int64
}

type level struct {
	Count
	read func() int64
}

// NewRegistry returns a registry that counts from now on.
func NewRegistry(now time.Time) *Registry { return &Registry{since: now, reported: now.Round(0)} }

// Add counts n more.
func (r *Registry) Add(m Metric, n int64, attributes ...Attribute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(m, attributes).Total += n
}

// Drop counts n items of a signal that will not be delivered. Reasons are few and fixed: each is a time series.
func (r *Registry) Drop(signal, reason string, n int) {
	r.Add(DroppedItems, int64(n), Attribute{AttrSignal, signal}, Attribute{AttrReason, reason})
}

// Dropped returns how many items of a signal were dropped for a reason.
func (r *Registry) Dropped(signal, reason string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.entry(DroppedItems, []Attribute{{AttrSignal, signal}, {AttrReason, reason}}).Total
}

// Set takes over a total that somebody else has counted since a time of theirs.
func (r *Registry) Set(m Metric, total int64, since time.Time, attributes ...Attribute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(m, attributes)
	e.Total, e.Since = total, since
}

// Watch has a level read for each report, until forget is called.
func (r *Registry) Watch(m Metric, read func() int64, attributes ...Attribute) (forget func()) {
	l := &level{Count: Count{Metric: m, Attributes: slices.Clone(attributes), Since: r.since}, read: read}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.levels = append(r.levels, l)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.levels = slices.DeleteFunc(r.levels, func(other *level) bool { return other == l })
	}
}

// entry finds or makes the entry of a count. There are a handful. r.mu is held.
func (r *Registry) entry(m Metric, attributes []Attribute) *entry {
	for _, e := range r.counts {
		if e.Metric == m && slices.Equal(e.Attributes, attributes) {
			return e
		}
	}
	e := &entry{Count: Count{Metric: m, Attributes: slices.Clone(attributes), Since: r.since}}
	r.counts = append(r.counts, e)
	return e
}

// Counts are all counts above zero, by metric and attributes.
func (r *Registry) Counts() []Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.collect(func(e *entry) bool { return e.Total > 0 })
}

// Report gives what has changed since the last successful report to take, and reports whether there was anything and take
// succeeded. Trouble is reported at once. Everything else, with the levels, waits until Interval of wall time has passed
// since the last report, or until there is no later opportunity.
func (r *Registry) Report(now time.Time, last bool, take func([]Count) error) bool {
	now = now.Round(0)
	r.mu.Lock()
	changed := func(e *entry) bool { return e.Total != e.reported }
	news := r.collect(func(e *entry) bool { return changed(e) && e.Metric.urgent() })
	passed := now.Sub(r.reported)
	// The last report changes counts itself, which is no reason for another one.
	regular := last && !r.final || passed >= Interval || passed < 0
	var levels []*level
	if regular {
		news = r.collect(changed)
		levels = slices.Clone(r.levels)
	}
	r.mu.Unlock()
	if len(news) == 0 {
		return false
	}
	// Reading takes the locks of those who count.
	for _, l := range levels {
		c := l.Count
		c.Total = l.read()
		news = append(news, c)
	}
	sorted(news)
	if take(news) != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if regular {
		r.reported, r.final = now, last
	}
	for _, c := range news {
		if !c.Metric.Gauge() {
			r.entry(c.Metric, c.Attributes).reported = c.Total
		}
	}
	return true
}

// collect returns the counts that are wanted in a fixed order. r.mu is held.
func (r *Registry) collect(wanted func(*entry) bool) []Count {
	var counts []Count
	for _, e := range r.counts {
		if wanted(e) {
			counts = append(counts, e.Count)
		}
	}
	sorted(counts)
	return counts
}

func sorted(counts []Count) {
	slices.SortStableFunc(counts, func(a, b Count) int {
		if c := strings.Compare(string(a.Metric), string(b.Metric)); c != 0 {
			return c
		}
		return slices.CompareFunc(a.Attributes, b.Attributes, func(a, b Attribute) int {
			return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value)
		})
	})
}
