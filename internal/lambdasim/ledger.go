// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"slices"
	"time"
)

// Ledger compares what was sent with what arrived. Items are told apart by their text; the lists are sorted and name an
// item once for each time it is missing or too many.
type Ledger struct {
	// Lost were sent more often than they arrived.
	Lost []string `json:"lost"`
	// Duplicated arrived more often than they were sent.
	Duplicated []string `json:"duplicated"`
	// Unexpected arrived and were never sent.
	Unexpected []string `json:"unexpected"`
}

// Account balances how often each item was sent against how often it arrived.
func Account(sent, arrived map[string]int) Ledger {
	ledger := Ledger{Lost: []string{}, Duplicated: []string{}, Unexpected: []string{}}
	for item, n := range sent {
		for range n - arrived[item] {
			ledger.Lost = append(ledger.Lost, item)
		}
	}
	for item, n := range arrived {
		if sent[item] == 0 {
			for range n {
				ledger.Unexpected = append(ledger.Unexpected, item)
			}
			continue
		}
		for range n - sent[item] {
			ledger.Duplicated = append(ledger.Duplicated, item)
		}
	}
	slices.Sort(ledger.Lost)
	slices.Sort(ledger.Duplicated)
	slices.Sort(ledger.Unexpected)
	return ledger
}

// Balanced reports whether everything that was sent arrived once and nothing else did.
func (l Ledger) Balanced() bool {
	return len(l.Lost) == 0 && len(l.Duplicated) == 0 && len(l.Unexpected) == 0
}

// Late lists, sorted, the items that took longer than limit from being sent to their arrival. Items that did not arrive
// are not late but lost.
func Late(sent, arrived map[string]time.Time, limit time.Duration) []string {
	late := []string{}
	for item, at := range arrived {
		if since, ok := sent[item]; ok && at.Sub(since) > limit {
			late = append(late, item)
		}
	}
	slices.Sort(late)
	return late
}
