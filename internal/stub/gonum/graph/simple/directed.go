// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package simple stands in for the package of the same name, as far as the collector's service uses it.
package simple

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/graph"
)

// DirectedGraph is a graph with at most one edge in each direction between two nodes, and none from a node to itself.
type DirectedGraph struct {
	nodes map[int64]graph.Node
	from  map[int64]map[int64]struct{}
}

// NewDirectedGraph returns a graph without nodes.
func NewDirectedGraph() *DirectedGraph {
	return &DirectedGraph{nodes: map[int64]graph.Node{}, from: map[int64]map[int64]struct{}{}}
}

// AddNode adds a node. It panics if there is one of that ID, as the original does.
func (g *DirectedGraph) AddNode(n graph.Node) {
	if _, ok := g.nodes[n.ID()]; ok {
		panic(fmt.Sprintf("simple: there is a node with ID %d already", n.ID()))
	}
	g.nodes[n.ID()] = n
}

// Node returns the node with that ID, or nil.
func (g *DirectedGraph) Node(id int64) graph.Node { return g.nodes[id] }

// Nodes returns all nodes, sorted by ID.
func (g *DirectedGraph) Nodes() graph.Nodes {
	nodes := make([]graph.Node, 0, len(g.nodes))
	for _, n := range g.nodes {
		nodes = append(nodes, n)
	}
	return sorted(nodes)
}

// From returns the nodes that edges lead to from the node with that ID, sorted by ID.
func (g *DirectedGraph) From(id int64) graph.Nodes {
	nodes := make([]graph.Node, 0, len(g.from[id]))
	for to := range g.from[id] {
		nodes = append(nodes, g.nodes[to])
	}
	return sorted(nodes)
}

// RemoveNode removes the node with that ID, and the edges from and to it.
func (g *DirectedGraph) RemoveNode(id int64) {
	delete(g.nodes, id)
	delete(g.from, id)
	for _, to := range g.from {
		delete(to, id)
	}
}

// NewEdge returns an edge that does not belong to the graph yet.
func (*DirectedGraph) NewEdge(from, to graph.Node) graph.Edge { return Edge{F: from, T: to} }

// SetEdge adds an edge, and its nodes if they are new. It panics if the edge leads from a node to itself, as the original
// does.
func (g *DirectedGraph) SetEdge(e graph.Edge) {
	from, to := e.From().ID(), e.To().ID()
	if from == to {
		panic(fmt.Sprintf("simple: an edge leads from node %d to itself", from))
	}
	g.nodes[from], g.nodes[to] = e.From(), e.To()
	if g.from[from] == nil {
		g.from[from] = map[int64]struct{}{}
	}
	g.from[from][to] = struct{}{}
}

// Edge leads from F to T.
type Edge struct{ F, T graph.Node }

// From is F.
func (e Edge) From() graph.Node { return e.F }

// To is T.
func (e Edge) To() graph.Node { return e.T }

type nodes struct {
	current graph.Node
	rest    []graph.Node
}

// sorted makes the same of the same graph each time, where the original leaves it to chance.
func sorted(list []graph.Node) graph.Nodes {
	slices.SortFunc(list, func(a, b graph.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	return &nodes{rest: list}
}

func (n *nodes) Next() bool {
	if len(n.rest) == 0 {
		return false
	}
	n.current, n.rest = n.rest[0], n.rest[1:]
	return true
}

func (n *nodes) Node() graph.Node { return n.current }
func (n *nodes) Len() int         { return len(n.rest) }
