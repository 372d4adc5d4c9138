// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"syscall"
	"time"
)

const (
	// maxWaitingLines is how many lines of the log wait for a reader of stdout. The guard has a handful in its life.
	maxWaitingLines = 64
	// flushTime is how long the end of the process waits for that reader.
	flushTime = 50 * time.Millisecond
	// writeRetry is the pause before a full pipe that does not block is tried again.
	writeRetry = time.Millisecond
)

// writer writes lines to a descriptor that may be a pipe which nobody empties. The goroutine that decides must not be
// held by that, so another one writes.
type writer struct {
	lines chan []byte
	stop  chan struct{}
	done  chan struct{}
}

func newWriter(fd int) *writer {
	w := &writer{
		lines: make(chan []byte, maxWaitingLines),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go w.run(fd)
	return w
}

func (w *writer) run(fd int) {
	defer close(w.done)
	for {
		select {
		case line := <-w.lines:
			writeAll(fd, line)
		case <-w.stop:
			for len(w.lines) > 0 {
				writeAll(fd, <-w.lines)
			}
			return
		}
	}
}

// put queues a line, or drops it when too many are waiting.
func (w *writer) put(line []byte) {
	select {
	case w.lines <- line:
	default:
	}
}

// close writes what is queued, for a short time. It is called once.
func (w *writer) close() {
	close(w.stop)
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
}

// writeAll writes until everything is written or cannot be. It goes to the descriptor directly: an os.File ends the
// process when the reader of stdout or stderr is gone.
func writeAll(fd int, p []byte) {
	for len(p) > 0 {
		n, err := syscall.Write(fd, p)
		switch {
		case n > 0:
			p = p[n:]
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			time.Sleep(writeRetry)
		default:
			return
		}
	}
}
