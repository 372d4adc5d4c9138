// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

const (
	envMemorySize = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
	envGoGC       = "GOGC"

	// usualPercent is Go's own: garbage is collected when there is as much of it as of what is in use. Between bursts that
	// keeps the collector small, and costs next to nothing.
	usualPercent = 100

	// burstPercent is for bursts, in which a fifth of the CPU goes into collections with usualPercent. With this 1,000 spans
	// take 10 to 25 % less; what is left to save is not worth its memory.
	burstPercent = 400

	// burstHeap is what is in use at least in a burst, in bytes. Without one it is 2 MB.
	burstHeap = 4 << 20

	// burstPause is the longest time from one collection to the next in a burst. A freeze is longer, or part of it.
	burstPause = time.Second

	// burstShare is the part of the function's memory that garbage may be let grow to, together with what is in use: half of
	// what memory_limiter allows, which counts garbage too. maxBurst bounds it for large functions, in bytes.
	burstShare = 8
	maxBurst   = 128 << 20
)

// gcPercent is what GOGC is to be after a garbage collection that found so many bytes in use, so long after the one before,
// in a function with so many bytes of memory.
func gcPercent(used, memory uint64, pause time.Duration) int {
	room := min(memory/burstShare, maxBurst)
	if used < burstHeap || used >= room || pause > burstPause {
		return usualPercent
	}
	return int(min(max((room-used)*100/used, usualPercent), burstPercent))
}

// collections has garbage collected less often while data comes in a burst.
type collections struct {
	memory uint64
	now    func() time.Time
	next   func() (bytes uint64)
	set    func(percent int)

	mu      sync.Mutex
	stopped bool
	percent int
	last    time.Time
}

// newCollections returns nil where GOGC is the user's, or the function's memory size is not known.
func newCollections() *collections {
	megabytes, err := strconv.ParseUint(os.Getenv(envMemorySize), 10, 31)
	if err != nil || os.Getenv(envGoGC) != "" {
		return nil
	}
	return &collections{
		memory: megabytes << 20, now: time.Now, next: nextCollection, set: func(percent int) { debug.SetGCPercent(percent) },
		percent: usualPercent,
	}
}

// nextCollection is the size of the heap at which garbage is collected next, in bytes. What is in use would be another
// metric, but package runtime/metrics adds 32 kB to the program.
func nextCollection() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NextGC
}

// cycle is garbage from the beginning, so that each collection finds it. It has a size that has memory of its own.
type cycle struct{ _ [16]byte }

// watch begins to follow garbage collections. stop leaves Go's as they are usually.
func (c *collections) watch() (stop func()) {
	if c == nil {
		return func() {}
	}
	runtime.SetFinalizer(new(cycle), c.ended)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopped = true
		c.change(usualPercent)
	}
}

// ended is called after each collection, with what is garbage in the next one again.
func (c *collections) ended(again *cycle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	now := c.now()
	// That is what is in use, and as much garbage as is allowed.
	used := c.next() * 100 / uint64(100+c.percent)
	c.change(gcPercent(used, c.memory, now.Sub(c.last)))
	c.last = now
	runtime.SetFinalizer(again, c.ended)
}

func (c *collections) change(percent int) {
	if percent != c.percent {
		c.percent = percent
		c.set(percent)
	}
}
