// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"slices"
	"sync"
)

// maxRemembered bounds the invocations whose end is remembered. One is enough for a function that runs one invocation
// at a time; the rest is for events that come late or twice.
const maxRemembered = 64

// invocations knows which invocations have ended. The Extensions API and the Telemetry API are independent channels:
// the end of an invocation may be seen before its beginning.
type invocations struct {
	mu       sync.Mutex
	finished []string // request ids, oldest first
	rooted   []string
	reported []string
	// initialized says that Init has ended, well or not.
	initialized bool
	changed     chan struct{} // nil while nobody waits
}

// finish notes that the runtime is done with an invocation.
func (i *invocations) finish(requestID string) { i.note(&i.finished, requestID) }

// root notes that the function's own span of an invocation has come.
func (i *invocations) root(requestID string) { i.note(&i.rooted, requestID) }

// report notes the last event of an invocation.
func (i *invocations) report(requestID string) { i.note(&i.reported, requestID) }

// initialize notes the last event of Init.
func (i *invocations) initialize() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.initialized = true
	i.announce()
}

// awaitInit waits until the last event of Init has come, or ctx ends.
func (i *invocations) awaitInit(ctx context.Context) error {
	return i.await(ctx, func() bool { return i.initialized })
}

func (i *invocations) note(list *[]string, requestID string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	*list = append(*list, requestID)
	if surplus := len(*list) - maxRemembered; surplus > 0 {
		*list = slices.Delete(*list, 0, surplus)
	}
	i.announce()
}

// announce wakes who waits. The caller has the lock.
func (i *invocations) announce() {
	if i.changed != nil {
		close(i.changed)
		i.changed = nil
	}
}

// begin forgets the report of an earlier invocation of the same id: Lambda tries an asynchronous invocation that failed
// again under its id, often in the same environment.
func (i *invocations) begin(requestID string) { i.forget(&i.reported, requestID) }

// end forgets that the runtime is done with an invocation, for the same reason. It is the end and not the beginning of
// ours that does so, because the news may be here before the beginning.
func (i *invocations) end(requestID string) {
	i.forget(&i.finished, requestID)
	i.forget(&i.rooted, requestID)
}

func (i *invocations) forget(list *[]string, requestID string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	*list = slices.DeleteFunc(*list, func(id string) bool { return id == requestID })
}

// awaitFinish waits until the invocation is done, or ctx ends.
func (i *invocations) awaitFinish(ctx context.Context, requestID string) error {
	return i.await(ctx, func() bool {
		// The report comes after runtimeDone, so it will do where the other got lost.
		return slices.Contains(i.finished, requestID) || slices.Contains(i.rooted, requestID) ||
			slices.Contains(i.reported, requestID)
	})
}

// awaitReport waits until the invocation's last event has come, or ctx ends.
func (i *invocations) awaitReport(ctx context.Context, requestID string) error {
	return i.await(ctx, func() bool { return slices.Contains(i.reported, requestID) })
}

func (i *invocations) await(ctx context.Context, happened func() bool) error {
	for {
		i.mu.Lock()
		if happened() {
			i.mu.Unlock()
			return nil
		}
		if i.changed == nil {
			i.changed = make(chan struct{})
		}
		changed := i.changed
		i.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
