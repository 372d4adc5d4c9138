// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

// deliveryStack is what a delivery needs of its goroutine's stack, in bytes: compression has a table of 16 KiB there.
const deliveryStack = 17 << 10

// growStack makes room on the stack of a goroutine that begins. Each delivery has a new one, whose stack is 2 KiB and is
// doubled whenever it is full, with all that is on it looked through and copied. At the beginning there is next to nothing.
//
//go:noinline
func growStack(n int) bool {
	var room [deliveryStack]byte
	return room[n%len(room)] == 0
}
