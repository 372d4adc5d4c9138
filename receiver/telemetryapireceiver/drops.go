// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

// dropLogInterval is the least time between two lines about dropped records. Each line ends up in the user's bill.
const dropLogInterval = time.Minute

// dropLog counts the records that the pipeline did not take, and says so when that begins, but not more often than
// once in dropLogInterval. It is for one goroutine at a time.
type dropLog struct {
	total, unlogged uint64
	failing         bool
	// logged is wall time, because a freeze need not advance another clock.
	logged time.Time
}

func (d *dropLog) dropped(logger *zap.Logger, now time.Time, records int, err error) {
	d.total += uint64(records)
	d.unlogged += uint64(records)
	begins := !d.failing
	d.failing = true
	now = now.Round(0)
	if !begins || (!d.logged.IsZero() && now.Sub(d.logged) < dropLogInterval) {
		return
	}
	d.logged = now
	logger.Error("Dropped log records that the pipeline did not take.",
		zap.Uint64("dropped_log_records", d.unlogged), zap.Bool("permanent", consumererror.IsPermanent(err)), zap.Error(err))
	d.unlogged = 0
}

// recovered says that the pipeline takes records again.
func (d *dropLog) recovered() { d.failing = false }

// final says what no line has said yet.
func (d *dropLog) final(logger *zap.Logger) {
	if d.unlogged == 0 {
		return
	}
	logger.Warn("More log records were dropped that the pipeline did not take.",
		zap.Uint64("dropped_log_records", d.unlogged), zap.Uint64("dropped_log_records_in_total", d.total))
	d.unlogged = 0
}
