// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"sync"
	"time"
)

// queue holds bodies between the requests that bring them and the one goroutine that works them off. It is bounded in
// bytes; a body counts until it has been worked off, because that is how long it needs memory.
type queue struct {
	maxBytes int

	mu     sync.Mutex
	bodies [][]byte
	bytes  int
	closed bool
	// added and done count bodies, so that somebody can wait for what was there when they came.
	added, done uint64
	// change is closed, and replaced, whenever one of the fields above changes.
	change chan struct{}
}

func newQueue(maxBytes int) *queue {
	return &queue{maxBytes: maxBytes, change: make(chan struct{})}
}

// changed wakes everybody who waits. The caller holds mu.
func (q *queue) changed() {
	close(q.change)
	q.change = make(chan struct{})
}

// put appends a body and waits for room up to the given time. It is false when there was none, when ctx ended first,
// or when the queue is closed. A body larger than the whole queue is let in when the queue is empty.
func (q *queue) put(ctx context.Context, body []byte, wait time.Duration) bool {
	var timeout <-chan time.Time
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return false
		}
		if q.bytes == 0 || q.bytes+len(body) <= q.maxBytes {
			q.bodies = append(q.bodies, body)
			q.bytes += len(body)
			q.added++
			q.changed()
			q.mu.Unlock()
			return true
		}
		change := q.change
		q.mu.Unlock()

		if timeout == nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-change:
		case <-timeout:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// take waits for the next body. It is false when the queue is closed and empty. Each body taken is to be released.
func (q *queue) take() ([]byte, bool) {
	for {
		q.mu.Lock()
		if len(q.bodies) > 0 {
			body := q.bodies[0]
			q.bodies[0] = nil
			q.bodies = q.bodies[1:]
			q.mu.Unlock()
			return body, true
		}
		closed, change := q.closed, q.change
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		<-change
	}
}

// release says that a body taken has been worked off.
func (q *queue) release(body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= len(body)
	q.done++
	q.changed()
}

// clear drops the bodies that nobody has taken yet, and returns how many there were.
func (q *queue) clear() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.bodies)
	for _, body := range q.bodies {
		q.bytes -= len(body)
	}
	q.bodies = nil
	q.done += uint64(n)
	q.changed()
	return n
}

// close lets no more bodies in. What is in the queue stays to be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.changed()
	}
}

// idle waits until every body that is in the queue now has been worked off.
func (q *queue) idle(ctx context.Context) error {
	q.mu.Lock()
	target := q.added
	for q.done < target {
		change := q.change
		q.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
		q.mu.Lock()
	}
	q.mu.Unlock()
	return nil
}
