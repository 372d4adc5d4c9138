// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is one that is measured.
type process int

// The processes of the layer.
const (
	guard process = iota
	collector
	processes
)

func (p process) String() string { return [...]string{"guard", "collector"}[p] }

// sample is the anonymous memory of the processes between two invocations, in bytes.
type sample [processes]int64

// usage is what samples say of one process.
type usage struct {
	max int64
	// slope is that of the last half, in bytes for 1,000 invocations.
	slope float64
	// growth is by how much the floor of the last quarter is above that of the second.
	growth int64
}

const (
	// Garbage gathers up to that much before Go's runtime collects it, whatever is in use.
	garbage = 4 << 20

	// The guard keeps nothing from one event to the next, but it takes about as many invocations as there are here
	// until it collects for the first time. The rest is for what a collection itself needs.
	guardGrowth = garbage + 1<<20
	// What waits in the queues is memory in use, not lost: up to maxQueueBytes in each pipeline. The floor, below which
	// a quarter of the samples is, sees it only where a backend is away for most of the time. But a heap that was large
	// once is given back slowly, because the scavenger runs no more than the process does. A leak of 12 kB in each
	// invocation is above the bound after 1,000.
	collectorGrowth = garbage + pipelineCount*maxQueueBytes
)

// bounds of growth for 1,000 invocations and more.
func bounds() [processes]int64 { return [processes]int64{guardGrowth, collectorGrowth} }

// measure looks at the samples of a process.
func measure(samples []sample, p process) (u usage) {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = s[p]
		u.max = max(u.max, values[i])
	}
	quarter := len(values) / 4
	if quarter == 0 {
		return u
	}
	u.growth = floor(values[3*quarter:]) - floor(values[quarter:2*quarter])
	u.slope = slope(values[len(values)/2:]) * 1000
	return u
}

// floor is the value that a quarter of the others is below.
func floor(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/4]
}

// slope is that of the straight line with the least squares, per value.
func slope(values []int64) float64 {
	n := float64(len(values))
	meanX, meanY := (n-1)/2, 0.0
	for _, v := range values {
		meanY += float64(v) / n
	}
	var above, below float64
	for i, v := range values {
		x := float64(i) - meanX
		above += x * (float64(v) - meanY)
		below += x * x
	}
	if below == 0 {
		return 0
	}
	return above / below
}

// judgeMemory is the rule for environments that are long enough.
func judgeMemory(samples []sample) (broken []string) {
	if len(samples) < longEnvironment {
		return nil
	}
	for p, bound := range bounds() {
		if u := measure(samples, process(p)); u.growth > bound {
			broken = append(broken, fmt.Sprintf("the memory of the %s grew by %s in %d invocations, the bound is %s",
				process(p), mebibytes(u.growth), len(samples), mebibytes(bound)))
		}
	}
	return broken
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// rssAnon reads the anonymous memory of a process.
func rssAnon(pid int) (int64, error) {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	return parseRSSAnon(string(status))
}

func parseRSSAnon(status string) (int64, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "RssAnon:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		return kib << 10, err
	}
	return 0, errors.New("the process has no memory any more")
}

// childOf is the only child of a process.
func childOf(pid int) (int, error) {
	// A child belongs to the thread that started it.
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		return 0, err
	}
	var children []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			return 0, err
		}
		children = append(children, strings.Fields(string(text))...)
	}
	if len(children) != 1 {
		return 0, fmt.Errorf("process %d has %d children and not one", pid, len(children))
	}
	return strconv.Atoi(children[0])
}
