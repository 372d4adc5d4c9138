// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package topo stands in for the package of the same name, as far as the collector's service uses it.
package topo

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/graph"
)

// Unorderable is the error for a graph with cycles. It has the nodes of one of them.
type Unorderable [][]graph.Node

func (u Unorderable) Error() string {
	return fmt.Sprintf("topo: no order, because of cycles between nodes: %v", [][]graph.Node(u))
}

// Sort returns the nodes such that edges lead from earlier to later ones only. Where that leaves a choice, the first by ID
// comes first. The error is an Unorderable.
func Sort(g graph.Directed) ([]graph.Node, error) {
	return SortStabilized(g, func([]graph.Node) {}) // the graph has its nodes sorted by ID
}

// SortStabilized is like Sort, and order decides what comes first where there is a choice.
func SortStabilized(g graph.Directed, order func([]graph.Node)) ([]graph.Node, error) {
	all := list(g.Nodes())
	order(all)
	incoming := make(map[int64]int, len(all))
	for _, n := range all {
		for next := g.From(n.ID()); next.Next(); {
			incoming[next.Node().ID()]++
		}
	}
	sorted := make([]graph.Node, 0, len(all))
	for len(sorted) < len(all) {
		first := slices.IndexFunc(all, func(n graph.Node) bool { return n != nil && incoming[n.ID()] == 0 })
		if first < 0 {
			return nil, Unorderable(DirectedCyclesIn(g))
		}
		n := all[first]
		all[first] = nil
		sorted = append(sorted, n)
		for next := g.From(n.ID()); next.Next(); {
			incoming[next.Node().ID()]--
		}
	}
	return sorted, nil
}

// DirectedCyclesIn returns the first cycle that it finds, with its first node at both ends, and nothing if there is none.
// The original returns all cycles, of which the service reports the first.
func DirectedCyclesIn(g graph.Directed) [][]graph.Node {
	s := search{graph: g, done: map[int64]bool{}}
	for _, n := range list(g.Nodes()) {
		if cycle := s.from(n); cycle != nil {
			return [][]graph.Node{cycle}
		}
	}
	return nil
}

// search walks along the edges until it comes to a node that is on its way already.
type search struct {
	graph graph.Directed
	way   []graph.Node
	// done are the nodes from which no way leads into a cycle.
	done map[int64]bool
}

func (s *search) from(n graph.Node) (cycle []graph.Node) {
	if s.done[n.ID()] {
		return nil
	}
	if i := slices.IndexFunc(s.way, func(w graph.Node) bool { return w.ID() == n.ID() }); i >= 0 {
		return append(slices.Clone(s.way[i:]), n)
	}
	s.way = append(s.way, n)
	for next := s.graph.From(n.ID()); next.Next(); {
		if cycle := s.from(next.Node()); cycle != nil {
			return cycle
		}
	}
	s.way = s.way[:len(s.way)-1]
	s.done[n.ID()] = true
	return nil
}

func list(nodes graph.Nodes) []graph.Node {
	all := make([]graph.Node, 0, nodes.Len())
	for nodes.Next() {
		all = append(all, nodes.Node())
	}
	return all
}
