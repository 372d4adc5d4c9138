// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Attribute tells the counts of one metric apart.
type Attribute struct{ Key, Value string }

// Count is one count of a metric.
type Count struct {
	Metric     Metric
	Attributes []Attribute
	// Total is what has been counted since Since.
	Total int64
	Since time.Time
}

// Registry keeps counts. It is for several goroutines.
type Registry struct {
	since time.Time

	mu     sync.Mutex
	counts []*entry
}

type entry struct {
	Count
	// reported is the total that Report was successful with.
	reported int64
}

// NewRegistry returns a registry that counts from now on.
func NewRegistry(now time.Time) *Registry { return &Registry{since: now} }

// Add counts n more.
func (r *Registry) Add(m Metric, n int64, attributes ...Attribute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(m, attributes).Total += n
}

// Set takes over a total that somebody else has counted since a time of theirs.
func (r *Registry) Set(m Metric, total int64, since time.Time, attributes ...Attribute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(m, attributes)
	e.Total, e.Since = total, since
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

// Report gives the counts that have changed since the last successful report to take, and reports whether there were
// any and take succeeded.
func (r *Registry) Report(take func([]Count) error) bool {
	r.mu.Lock()
	changed := r.collect(func(e *entry) bool { return e.Total != e.reported })
	r.mu.Unlock()
	if len(changed) == 0 || take(changed) != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changed {
		r.entry(c.Metric, c.Attributes).reported = c.Total
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
	slices.SortStableFunc(counts, func(a, b Count) int {
		if c := strings.Compare(string(a.Metric), string(b.Metric)); c != 0 {
			return c
		}
		return slices.CompareFunc(a.Attributes, b.Attributes, func(a, b Attribute) int {
			return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value)
		})
	})
	return counts
}
