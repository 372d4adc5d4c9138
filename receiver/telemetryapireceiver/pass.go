// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	// retryFor is how long a pipeline that is full gets to make room. Lambda's events wait behind the ones that are
	// tried again, in a queue with room for seconds of them, and an invocation that is over waits with them: its end is
	// one of these events. So only the first delivery in a row is given the time.
	retryFor = 500 * time.Millisecond
	// The pauses between tries double from the first to the longest. Memory is freed within milliseconds of a flush.
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// attempt calls send, and does so again when the pipeline has no room: for as long as retryFor, or just once if what came
// before was dropped. It returns send's last error.
func (r *telemetryReceiver) attempt(ctx context.Context, send func() error) error {
	var deadline time.Time
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := send()
		if err == nil || consumererror.IsPermanent(err) || ctx.Err() != nil {
			return err
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now
			if !r.full {
				deadline = now.Add(r.retryFor)
			}
		} else if !now.Before(deadline) {
			return err
		}
		timer := time.NewTimer(min(pause, deadline.Sub(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// restOf returns what a pipeline has not taken if it says that it has taken some. It is a copy: the original is the
// pipeline's.
func restOf(err error) (plog.Logs, bool) {
	partial, ok := errors.AsType[consumererror.Logs](err)
	if !ok {
		return plog.Logs{}, false
	}
	rest := plog.NewLogs()
	partial.Data().CopyTo(rest)
	return rest, true
}
