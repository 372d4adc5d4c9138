// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package graph stands in for the package of the same name, as far as the collector's service uses it.
package graph

// Node is a node of a graph.
type Node interface {
	// ID is the same for no other node of the graph.
	ID() int64
}

// Edge leads from one node to another.
type Edge interface {
	From() Node
	To() Node
}

// Nodes iterates over nodes.
type Nodes interface {
	// Next goes to the next node, and is false behind the last one.
	Next() bool
	// Node is the node that Next has gone to.
	Node() Node
	// Len is how many nodes there are still to come.
	Len() int
}

// Directed is a graph whose edges have a direction.
type Directed interface {
	// Nodes are all nodes.
	Nodes() Nodes
	// From are the nodes that edges lead to from the node with that ID.
	From(id int64) Nodes
}
