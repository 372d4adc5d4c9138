// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package faultyextension

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The variables that test/faults sets. Without the first the component does nothing.
const (
	// EnvDir is the folder of the trace.
	EnvDir = "FAULT_DIR"
	// EnvFault and EnvMoment say what happens, and when.
	EnvFault  = "FAULT_NAME"
	EnvMoment = "FAULT_MOMENT"
	// EnvCgroup is a file: who writes its process id into it gets little memory.
	EnvCgroup = "FAULT_CGROUP"
)

// Fault is what happens to the collector.
type Fault string

// The faults.
const (
	// Kill is SIGKILL.
	Kill Fault = "kill"
	// Stop is SIGSTOP for the collector alone.
	Stop Fault = "stop"
	// Panic is a panic in a goroutine of a component's.
	Panic Fault = "panic"
	// OutOfMemory is the kernel's OOM killer.
	OutOfMemory Fault = "oom"
	// Exit0 and Exit1 are the end of the process by itself.
	Exit0 Fault = "exit-0"
	Exit1 Fault = "exit-1"
	// PortTaken is another process on the port of OTLP/HTTP.
	PortTaken Fault = "port-taken"
	// DiskFull is a /tmp without space.
	DiskFull Fault = "disk-full"
	// NoDescriptors is a process that cannot open anything any more.
	NoDescriptors Fault = "no-fds"
	// NextNever is a collector that does not ask for the next event.
	NextNever Fault = "next-never"
	// NextTwice is a collector that asks twice at a time.
	NextTwice Fault = "next-twice"
	// Garbage is nonsense sent to the address of the Extensions API.
	Garbage Fault = "garbage"
)

// Moment is when a fault happens.
type Moment string

// The moments, in the order of the life of an environment.
const (
	// BeforeRegister is before the collector has registered.
	BeforeRegister Moment = "before-register"
	// AfterRegister is after that and before the pipelines run.
	AfterRegister Moment = "after-register"
	// InitNext is during Init, while the collector waits for its first event.
	InitNext Moment = "init-next"
	// Frozen is between invocations.
	Frozen Moment = "frozen"
	// Invocation is while the function works.
	Invocation Moment = "invocation"
	// Flush is while the backend has a request and has not answered.
	Flush Moment = "flush"
	// Shutdown is the same after SHUTDOWN.
	Shutdown Moment = "shutdown"
)

// What is the kind of a trace's entry.
type What string

// The kinds.
const (
	// Started is written by each process first.
	Started What = "started"
	// Registered is written when the extension has been registered.
	Registered What = "registered"
	// Running is written when the pipelines run.
	Running What = "running"
	// Asked is written by a process that waits for its fault to come from outside.
	Asked What = "asked"
	// Begun and Done are written before and after a fault; many faults leave no time for the second.
	Begun What = "begun"
	Done  What = "done"
)

// Entry is a line of the trace.
type Entry struct {
	What   What
	PID    int
	Time   time.Time
	Detail string
}

// ReadTrace returns what the processes have written so far, in order.
func ReadTrace(dir string) ([]Entry, error) {
	content, err := os.ReadFile(filepath.Join(dir, traceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseTrace(string(content))
}

const traceFile = "trace"

func parseTrace(text string) (entries []Entry, err error) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			return nil, fmt.Errorf("trace: %q", line)
		}
		pid, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		nanoseconds, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		entries = append(entries, Entry{
			What: What(fields[0]), PID: pid, Time: time.Unix(0, nanoseconds), Detail: fields[3],
		})
	}
	return entries, nil
}

// writeTrace appends a line in one write, so that those of several processes do not mix. The file stays open, because
// some faults leave no descriptor to open it with.
func writeTrace(f *os.File, what What, detail string) {
	_, _ = fmt.Fprintf(f, "%s %d %d %s\n", what, os.Getpid(), time.Now().UnixNano(), strings.ReplaceAll(detail, "\n", " "))
}
