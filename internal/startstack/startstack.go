// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package startstack makes room on the stack of a program that starts.
package startstack

// size is about what initializing the collector's packages takes of the stack, and then building a collector.
const size = 64 << 10

// Grown is here for its initial value, which is computed before any package that imports something is initialized: this
// one imports nothing, and Go takes those that are ready in the order of their paths.
//
// The stack of a program begins at a few kB and grows when it is full, to twice its size, with all that is on it copied.
// Regular expressions with a repetition such as {0,1023}, of which the collector's core compiles some at each start, are
// compiled by a recursion as deep as that. Growing at once, while there is little on the stack, spares that copying.
var Grown = grow(size)

//go:noinline
func grow(n int) bool {
	var room [size]byte
	return room[n%len(room)] == 0
}
