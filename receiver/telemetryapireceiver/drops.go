// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

// dropLogInterval is the least time between two lines about what a pipeline did not take. Each line ends up in the user's bill.
const dropLogInterval = time.Minute

// dropLog counts what the pipeline of one signal did not take, and says so when that begins, but not more often than
// once in dropLogInterval. It is for one goroutine at a time.
type dropLog struct {
	// items is what is counted, such as `log records`.
	items           string
	total, unlogged uint64
	failing         bool
	// logged is wall time, because a freeze need not advance another clock.
	logged time.Time
}

func (d *dropLog) dropped(logger *zap.Logger, now time.Time, count int, err error) {
	d.total += uint64(count)
	d.unlogged += uint64(count)
	begins := !d.failing
	d.failing = true
	now = now.Round(0)
	if !begins || (!d.logged.IsZero() && now.Sub(d.logged) < dropLogInterval) {
		return
	}
	d.logged = now
	logger.Error("Dropped "+d.items+" that the pipeline did not take.",
		zap.Uint64(d.key(), d.unlogged), zap.Bool("permanent", consumererror.IsPermanent(err)), zap.Error(err))
	d.unlogged = 0
}

// key is `dropped_log_records` for log records.
func (d *dropLog) key() string { return "dropped_" + strings.ReplaceAll(d.items, " ", "_") }

// recovered says that the pipeline takes data again.
func (d *dropLog) recovered() { d.failing = false }

// final says what no line has said yet.
func (d *dropLog) final(logger *zap.Logger) {
	if d.unlogged == 0 {
		return
	}
	logger.Warn("More "+d.items+" were dropped that the pipeline did not take.",
		zap.Uint64(d.key(), d.unlogged), zap.Uint64(d.key()+"_in_total", d.total))
	d.unlogged = 0
}
