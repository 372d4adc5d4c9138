// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import "time"

const (
	// initialBackoff is short because a flush holds the environment: a hiccup of the backend should be over within it.
	initialBackoff = 50 * time.Millisecond
	// maxBackoff is how long a backend that has come back may go unnoticed.
	maxBackoff = 30 * time.Second
	// stallBackoff follows a delivery that a flush had to stop waiting for. It is longer than a flush, so that a
	// backend that hangs holds one invocation and not every one.
	stallBackoff = 5 * time.Second
	// lastBackoff applies at shutdown, where there is no later opportunity to wait for.
	lastBackoff = 100 * time.Millisecond
)

// backoff says when delivering is worth the next try. It counts wall time, because the environment may be frozen
// between two tries.
type backoff struct {
	delay  time.Duration
	failed time.Time
}

// fail postpones the next try by twice the last delay, up to maxBackoff, and at least by least.
func (b *backoff) fail(now time.Time, least time.Duration) {
	b.delay = max(min(2*b.delay, maxBackoff), least)
	b.failed = now.Round(0)
}

func (b *backoff) succeed() { *b = backoff{} }

// failing reports whether the last try failed.
func (b *backoff) failing() bool { return b.delay > 0 }

// wait is how long to wait for the next try, 0 when it may be now. No try is more than most after the last one, unless
// most is 0.
func (b *backoff) wait(now time.Time, most time.Duration) time.Duration {
	delay := b.delay
	if most > 0 {
		delay = min(delay, most)
	}
	passed := now.Round(0).Sub(b.failed)
	if passed < 0 {
		return delay // the wall clock was set back
	}
	return max(delay-passed, 0)
}
