// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"regexp"

	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

// outcome is what has to follow from a fault besides that the function does not notice.
type outcome int

const (
	// recovers: the collector ends or is ended, another one takes its place, and what the function sends from then on
	// arrives.
	recovers outcome = iota
	// unharmed: the same collector goes on, and everything that it accepted arrives.
	unharmed
	// lasting: the same collector goes on as far as it can. What it accepts arrives, but it may not be able to accept.
	lasting
	// over: the environment ends, so there is nothing to recover for.
	over
)

// fault is a row of the matrix.
type fault struct {
	name faultyextension.Fault
	// what describes it in the table.
	what string
	// then is what follows from it, except at SHUTDOWN.
	then outcome
}

func faults() []fault {
	return []fault{
		{faultyextension.Kill, "kill -9", recovers},
		{faultyextension.Stop, "SIGSTOP of the collector alone", recovers},
		{faultyextension.Panic, "panic in a component's goroutine", recovers},
		{faultyextension.OutOfMemory, "killed for want of memory", recovers},
		{faultyextension.Exit0, "exit 0", recovers},
		{faultyextension.Exit1, "exit 1", recovers},
		{faultyextension.PortTaken, "port of OTLP/HTTP taken", recovers},
		{faultyextension.DiskFull, "/tmp full", unharmed},
		{faultyextension.NoDescriptors, "no file descriptors left", lasting},
		{faultyextension.NextNever, "/next never called", recovers},
		{faultyextension.NextTwice, "/next called twice", unharmed},
		{faultyextension.Garbage, "garbage to the Extensions API", unharmed},
	}
}

func moments() []faultyextension.Moment {
	return []faultyextension.Moment{
		faultyextension.BeforeRegister, faultyextension.AfterRegister, faultyextension.InitNext, faultyextension.Frozen,
		faultyextension.Invocation, faultyextension.Flush, faultyextension.Shutdown,
	}
}

// cell is a fault at a moment.
type cell struct {
	fault
	moment faultyextension.Moment
}

func (c cell) name() string { return string(c.fault.name) + "/" + string(c.moment) }

// outcome is what has to follow from the fault at this moment.
func (c cell) outcome() outcome {
	switch {
	case c.moment == faultyextension.Shutdown:
		return over
	case c.fault.name == faultyextension.PortTaken && c.moment == faultyextension.BeforeRegister:
		// The collector goes on without the port, and keeps the other ones.
		return unharmed
	case c.fault.name == faultyextension.NoDescriptors && c.early():
		// A collector that cannot start ends, and the next one has descriptors again.
		return recovers
	default:
		return c.then
	}
}

// pointless says why a cell is not run, or nothing.
func (c cell) pointless() string {
	if c.fault.name == faultyextension.PortTaken && c.moment == faultyextension.Shutdown {
		return "no collector is started after SHUTDOWN, so nobody wants the port: it would be kill/shutdown again"
	}
	return ""
}

// early says that the collector has not asked for its first event.
func (c cell) early() bool {
	return c.moment == faultyextension.BeforeRegister || c.moment == faultyextension.AfterRegister
}

// slowStart says that the collector hangs before it asks for its first event. The guard takes that for a slow start for
// much longer than it waits for a collector that has worked before.
func (c cell) slowStart() bool {
	return c.early() && (c.fault.name == faultyextension.Stop || c.fault.name == faultyextension.NextNever)
}

// takesOTLP says that the port of OTLP/HTTP is the collector's, at least when it has recovered.
func (c cell) takesOTLP() bool { return c.fault.name != faultyextension.PortTaken }

// takesLines says that the function's lines reach the collector. Lambda takes a subscription to them only during Init:
// a collector that hangs through all of Init makes none, and one that asks for the next event before has ended Init.
func (c cell) takesLines() bool {
	return !c.slowStart() && !(c.early() && c.fault.name == faultyextension.NextTwice)
}

// matrix returns the cells whose names match, in the order of the table.
func matrix(match *regexp.Regexp) (cells []cell) {
	for _, f := range faults() {
		for _, m := range moments() {
			if c := (cell{f, m}); match.MatchString(c.name()) {
				cells = append(cells, c)
			}
		}
	}
	return cells
}
