// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"os"
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
)

// heap gives memory back to the function after a burst.
type heap struct {
	// busy says that somebody is at it already, and has the fields below.
	busy atomic.Bool
	// left is what remained the last time. Data that waits for a backend cannot be given back, and trying each time would
	// cost a garbage collection each time.
	left uint64

	size    func() uint64
	release func()
}

func newHeap() *heap { return &heap{size: anonymous, release: debug.FreeOSMemory} }

// anonymous is the memory that the process does not share with files, in bytes: the heap, and a few MB. It is 0 where there is
// no /proc. Go's own metrics would take ten times as long to ask for the first time.
func anonymous() uint64 {
	file, err := os.Open("/proc/self/statm")
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	var text [128]byte
	n, _ := file.Read(text[:])
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

// trim gives memory back while an invocation runs, beside the function, if there is something worth it. What is still
// waiting to be delivered then is looked for again a few times.
func (h *heap) trim(ctx context.Context, spawn func(func())) {
	if h.busy.Load() || !h.ample() {
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
