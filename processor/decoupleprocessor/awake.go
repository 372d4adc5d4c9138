// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"time"
)

// awakeSteps is in how many steps the time of a delivery is counted.
const awakeSteps = 30

// withAwakeTimeout is context.WithTimeout for an environment that may be frozen meanwhile: monotonic time goes on in a
// freeze, and a timer that ran out in it fires together with the answer that has been waiting for as long. A ticker that
// nobody could listen to ticks once, so a freeze counts for one step at most.
func withAwakeTimeout(parent context.Context, timeout time.Duration) (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancelCause := context.WithCancelCause(parent)
	go func() {
		ticker := time.NewTicker(max(timeout/awakeSteps, time.Millisecond))
		defer ticker.Stop()
		for range awakeSteps {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		cancelCause(context.DeadlineExceeded)
	}()
	return ctx, func() { cancelCause(context.Canceled) }
}
