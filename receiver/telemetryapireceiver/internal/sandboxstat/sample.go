// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package sandboxstat reads what the whole execution environment uses, the function with its extensions: CPU time,
// network traffic, `/tmp`, file descriptors and threads. It reads when it is asked to and at no other time: whoever
// polls takes CPU time from the function, most of all right after a thaw.
//
// In Lambda a virtual machine of its own is around each environment, so that what the kernel counts is the
// environment's. On any other computer the CPU time is that of the whole computer, and so it is with Managed Instances,
// where several environments share one: there these numbers say nothing about the function.
package sandboxstat

// Value is a number that the system may not tell. The zero Value is one that is not known.
type Value struct {
	N     uint64
	Known bool
}

// Sample is what Read found at one moment.
type Sample struct {
	// CPU is the time that all processors together spent on processes and the kernel since the start, in nanoseconds. The
	// kernel counts it in steps of 10 ms.
	CPU Value
	// Network is the number of bytes received and sent since the start.
	Network Value
}

// Usage is what was used between two moments, CPU in nanoseconds and Network in bytes.
type Usage Sample

// InUse is what ReadInUse found at one moment.
type InUse struct {
	// Tmp is the number of bytes in use on the file system of /tmp.
	Tmp Value
	// OpenFiles is the number of file descriptors of all processes together, and Threads that of their threads.
	OpenFiles, Threads Value
}

// Sub returns what was used from an earlier sample on. What either of them does not know is not known.
func (s Sample) Sub(earlier Sample) Usage {
	return Usage{CPU: difference(s.CPU, earlier.CPU), Network: difference(s.Network, earlier.Network)}
}

// difference is not known when a count went down, which is what it does when an interface has gone.
func difference(later, earlier Value) Value {
	if !later.Known || !earlier.Known || later.N < earlier.N {
		return Value{}
	}
	return Value{N: later.N - earlier.N, Known: true}
}
