// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package topo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
)

type node int64

func (n node) ID() int64 { return int64(n) }

// build makes a graph of edges, and of nodes without any.
func build(edges [][2]int, alone ...int) *simple.DirectedGraph {
	g := simple.NewDirectedGraph()
	for _, n := range alone {
		g.AddNode(node(n))
	}
	for _, e := range edges {
		g.SetEdge(g.NewEdge(node(e[0]), node(e[1])))
	}
	return g
}

func TestSort(t *testing.T) {
	for name, tt := range map[string]struct {
		graph *simple.DirectedGraph
		want  string
	}{
		"nothing":    {build(nil), "[]"},
		"alone":      {build(nil, 3, 1, 2), "[1 2 3]"},
		"chain":      {build([][2]int{{3, 2}, {2, 1}}), "[3 2 1]"},
		"diamond":    {build([][2]int{{4, 2}, {4, 3}, {2, 1}, {3, 1}}), "[4 2 3 1]"},
		"two chains": {build([][2]int{{5, 1}, {4, 2}}, 3), "[3 4 2 5 1]"},
		"twice":      {build([][2]int{{2, 1}, {2, 1}}), "[2 1]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := topo.Sort(tt.graph)
			if err != nil || fmt.Sprint(got) != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
			if cycles := topo.DirectedCyclesIn(tt.graph); cycles != nil {
				t.Errorf("found cycles %v", cycles)
			}
		})
	}
}

// TestSortStabilized has the nodes in any order that the edges allow.
func TestSortStabilized(t *testing.T) {
	g := build([][2]int{{1, 4}, {2, 4}, {4, 5}}, 3)
	got, err := topo.SortStabilized(g, func(nodes []graph.Node) {
		slices.SortFunc(nodes, func(a, b graph.Node) int { return int(b.ID() - a.ID()) })
	})
	if err != nil || fmt.Sprint(got) != "[3 2 1 4 5]" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCycle(t *testing.T) {
	g := build([][2]int{{1, 2}, {2, 3}, {3, 4}, {4, 2}, {3, 5}})
	_, err := topo.Sort(g)
	var unorderable topo.Unorderable
	if !errors.As(err, &unorderable) || err.Error() == "" {
		t.Fatalf("got %v", err)
	}
	if got := fmt.Sprint(topo.DirectedCyclesIn(g)); got != "[[2 3 4 2]]" {
		t.Errorf("got %s", got)
	}
	g.RemoveNode(4)
	if got, err := topo.Sort(g); err != nil || fmt.Sprint(got) != "[1 2 3 5]" || g.Node(4) != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestAnyGraph compares with what an order is and what a cycle is.
func TestAnyGraph(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		size := 2 + random.IntN(8)
		var edges [][2]int
		for range random.IntN(2 * size) {
			if from, to := random.IntN(size), random.IntN(size); from != to {
				edges = append(edges, [2]int{from, to})
			}
		}
		g := build(edges)
		sorted, err := topo.Sort(g)
		cycles := topo.DirectedCyclesIn(g)
		if (err != nil) != (len(cycles) > 0) {
			t.Fatalf("%v: %v, but cycles %v", edges, err, cycles)
		}
		if err != nil {
			cycle := cycles[0]
			if len(cycle) < 3 || cycle[0] != cycle[len(cycle)-1] {
				t.Fatalf("%v: %v is no cycle", edges, cycle)
			}
			for i, n := range cycle[:len(cycle)-1] {
				if !slices.Contains(edges, [2]int{int(n.ID()), int(cycle[i+1].ID())}) {
					t.Fatalf("%v: %v is no cycle", edges, cycle)
				}
			}
			continue
		}
		for _, e := range edges {
			if slices.Index(sorted, graph.Node(node(e[0]))) >= slices.Index(sorted, graph.Node(node(e[1]))) {
				t.Fatalf("%v: %v is no order", edges, sorted)
			}
		}
	}
}

func TestPanics(t *testing.T) {
	for name, do := range map[string]func(*simple.DirectedGraph){
		"the same ID twice":         func(g *simple.DirectedGraph) { g.AddNode(node(1)) },
		"an edge to where it began": func(g *simple.DirectedGraph) { g.SetEdge(g.NewEdge(node(1), node(1))) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			do(build(nil, 1))
		})
	}
}
