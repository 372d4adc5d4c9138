// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory is what /proc/PID/status says, in bytes.
type memory struct {
	rssAnon, rssFile, vmHWM float64
}

func (m memory) plus(n memory) memory {
	return memory{m.rssAnon + n.rssAnon, m.rssFile + n.rssFile, m.vmHWM + n.vmHWM}
}

// family returns a process, first, and all its descendants.
func family(pid int) ([]int, error) {
	// A child belongs to the thread that forked it.
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("process %d has ended, or the kernel has no /proc/PID/task/TID/children", pid)
	}
	members := []int{pid}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended meanwhile, and its children are another's
		}
		if err != nil {
			return nil, err
		}
		children, err := parseChildren(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list, err)
		}
		for _, child := range children {
			more, err := family(child)
			if err != nil {
				return nil, err
			}
			members = append(members, more...)
		}
	}
	return members, nil
}

func parseChildren(text string) ([]int, error) {
	var pids []int
	for field := range strings.FieldsSeq(text) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func memoryOf(pid int) (memory, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return memory{}, err
	}
	m, err := parseStatus(string(text))
	if err != nil {
		return memory{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func parseStatus(text string) (memory, error) {
	var m memory
	missing := map[string]*float64{"RssAnon": &m.rssAnon, "RssFile": &m.rssFile, "VmHWM": &m.vmHWM}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		field, ok := missing[name]
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 32)
		if err != nil {
			return memory{}, fmt.Errorf("%s: %w", name, err)
		}
		*field = float64(kib << 10)
		delete(missing, name)
	}
	// Kernel threads and processes that have ended have no memory.
	for name := range missing {
		return memory{}, errors.New(name + " is missing")
	}
	return m, nil
}

// faultsOf sums the page faults of processes: those for which a page had to be read, major, and the others.
func faultsOf(pids []int) (minor, major float64, err error) {
	for _, pid := range pids {
		path := fmt.Sprintf("/proc/%d/stat", pid)
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, 0, err
		}
		less, more, err := parseFaults(string(text))
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		minor, major = minor+less, major+more
	}
	return minor, major, nil
}

// parseFaults knows that the name of a program, in parentheses, can hold anything, parentheses included.
func parseFaults(text string) (minor, major float64, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	// proc(5) counts from 1 and has two before these.
	const minorField, majorField = 10 - 3, 12 - 3
	if len(fields) <= majorField {
		return 0, 0, errors.New("it has too few fields")
	}
	minor, errMinor := strconv.ParseFloat(fields[minorField], 64)
	major, errMajor := strconv.ParseFloat(fields[majorField], 64)
	return minor, major, errors.Join(errMinor, errMajor)
}

// cpuTime sums the user and system time that processes have used, threads that have ended included.
func cpuTime(pids []int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		var used unix.Timespec
		if err := unix.ClockGettime(processClock(pid), &used); err != nil {
			return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		total += time.Duration(used.Nano())
	}
	return total, nil
}

// processClock is the scheduler's clock of a process, as clock_getcpuclockid(3) returns it. It counts nanoseconds;
// /proc/PID/stat counts ticks of 10 ms.
func processClock(pid int) int32 {
	const schedulerClock = 2
	return int32(^pid<<3 | schedulerClock) //nolint:gosec // process ids have 22 bits
}
