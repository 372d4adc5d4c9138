// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// ampleHeap is how much memory a burst has to leave behind before it is given back. Go's runtime gives memory back by
	// itself, but takes minutes of running time for it, of which a frozen environment has none. Below this, the next burst
	// needs it again sooner than anybody misses it.
	ampleHeap = 24 << 20

	// heapCheck is how long after one look the next one is, and heapChecks how many there are after a burst. Each costs a
	// garbage collection.
	heapCheck  = time.Second
	heapChecks = 5

	// tidyInvocation is the invocation during which the garbage of the start is collected, most of what has been allocated
	// by then. Go would wait until there are 4 MB, for twenty invocations or so, with ever more memory in use; what it
	// knows of stacks after a collection spares goroutines from growing theirs. Not the first invocation: that one is
	// slow enough, and many environments have no other.
	tidyInvocation = 2
)

// heap gives memory back to the function after a burst.
type heap struct {
	// busy says that somebody is at it already, and has the fields below.
	busy atomic.Bool
	// left is what remained the last time. Data that waits for a backend cannot be given back, and trying each time would
	// cost a garbage collection each time.
	left uint64

	// invocations are those so far.
	invocations int

	size    func() uint64
	collect func()
	release func()
}

func newHeap() *heap {
	return &heap{size: new(statm).anonymous, collect: runtime.GC, release: debug.FreeOSMemory}
}

// statm is /proc/self/statm. It stays open: to open it takes longer than to read it, and it is read in each invocation.
type statm struct{ file *os.File }

// anonymous is the memory that the process does not share with files, in bytes: the heap, and a few MB. It is 0 where there is
// no /proc. Go's own metrics would take ten times as long to ask for the first time.
func (s *statm) anonymous() uint64 {
	if s.file == nil {
		file, err := os.Open("/proc/self/statm")
		if err != nil {
			return 0
		}
		s.file = file // closed when this is forgotten
	}
	var text [128]byte
	n, _ := s.file.ReadAt(text[:], 0)
	// proc(5): size, resident and shared come first, in pages.
	fields := strings.Fields(string(text[:n]))
	if len(fields) < 3 {
		return 0
	}
	resident, errResident := strconv.ParseUint(fields[1], 10, 64)
	shared, errShared := strconv.ParseUint(fields[2], 10, 64)
	if errResident != nil || errShared != nil || shared > resident {
		return 0
	}
	return (resident - shared) * uint64(os.Getpagesize())
}

// ample reports whether there is something worth giving back. It must not be called while somebody is at it.
func (h *heap) ample() bool { return h.size() > max(ampleHeap, 2*h.left) }

// trim is called when an invocation begins. It gives memory back while that runs, beside the function, if there is something
// worth it. What is still waiting to be delivered then is looked for again a few times.
func (h *heap) trim(ctx context.Context, spawn func(func())) {
	h.invocations++
	if h.busy.Load() {
		return
	}
	if !h.ample() {
		if h.invocations == tidyInvocation {
			spawn(h.collect)
		}
		return
	}
	h.busy.Store(true)
	spawn(func() {
		defer h.busy.Store(false)
		ticker := time.NewTicker(heapCheck)
		defer ticker.Stop()
		for range heapChecks {
			h.release()
			if h.left = h.size(); h.left <= ampleHeap {
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
}
