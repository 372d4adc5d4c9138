// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"errors"
	"os"
	"sync"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

// reasonSpindown is the reason of a SHUTDOWN after which nothing of the environment is left. After any other, Lambda
// starts new processes in it and leaves /tmp as it is.
const reasonSpindown = "spindown"

// disk is the environment's spool, shared by all components of the process: only one Open of the directory succeeds.
type disk struct {
	cfg    SpoolConfig
	logger *zap.Logger

	mu       sync.Mutex
	spool    *spool.Spool
	reserved map[string]int
	lasting  bool
}

// reserve announces a component by the name of its data.
func (d *disk) reserve(name string) (give func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserved == nil {
		d.reserved = map[string]int{}
	}
	d.reserved[name]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reserved[name]--
	}
}

// of returns the spool for a component. Several of one name could not tell whose data it is, so they get none.
func (d *disk) of(name string) (s *spool.Spool, lasting bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reserved[name] != 1 {
		return nil, false
	}
	return d.spool, d.lasting
}

// resume opens the spool if an earlier process of the environment has left one behind, and reports whether there is data
// in it. Otherwise, on nearly every start, it costs one look at the directory.
func (d *disk) resume() bool {
	if _, err := os.Lstat(d.cfg.directory()); !d.cfg.Enabled || err != nil {
		return false
	}
	d.open()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.spool != nil && d.spool.Bytes() > 0
}

// prepare opens the spool for what will not be delivered any more, if anybody will ever read it.
func (d *disk) prepare(reason string) {
	if reason == reasonSpindown || reason == "" || !d.cfg.Enabled {
		return
	}
	d.open()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lasting = d.spool != nil
}

func (d *disk) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spool != nil {
		return
	}
	opened, skipped, err := spool.Open(spool.Options{Dir: d.cfg.directory(), MaxBytes: int64(d.cfg.MaxBytes)})
	for _, s := range skipped {
		d.logger.Warn("Spooled data cannot be used", zap.String("file", s.Name), zap.Int("items", s.Record.Items),
			zap.Error(s.Reason))
	}
	switch {
	case errors.Is(err, spool.ErrLocked):
		// The process before is still ending. It keeps its data, and whoever comes next finds it.
		d.logger.Debug("The spool is in use by another process", zap.Error(err))
	case err != nil:
		d.logger.Warn("The spool cannot be used; data that is not delivered before the environment is reset is lost",
			zap.String("directory", d.cfg.directory()), zap.Error(err))
	default:
		d.spool = opened
	}
}

// close lets the next process have the spool.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spool != nil {
		_ = d.spool.Close() // the kernel does it at the latest when the process ends
		d.spool = nil
	}
}
