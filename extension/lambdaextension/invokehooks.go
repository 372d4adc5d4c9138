// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"slices"
	"sync"
)

// invokeHooks are what components have called when an invocation begins.
type invokeHooks struct {
	mu    sync.Mutex
	hooks []*func()
}

func (h *invokeHooks) add(begin func()) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hook := &begin
	h.hooks = append(h.hooks, hook)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hooks = slices.DeleteFunc(slices.Clone(h.hooks), func(other *func()) bool { return other == hook })
	}
}

func (h *invokeHooks) call() {
	h.mu.Lock()
	hooks := h.hooks // is only appended to, or replaced
	h.mu.Unlock()
	for _, begin := range hooks {
		(*begin)()
	}
}

// OnInvoke implements Lifecycle.
func (e *lambdaExtension) OnInvoke(begin func()) (leave func()) { return e.invokeHooks.add(begin) }
