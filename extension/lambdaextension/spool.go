// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

// reasonSpindown is the reason of a SHUTDOWN after which nothing of the environment is left. After any other, Lambda
// starts new processes in it and leaves /tmp as it is.
const reasonSpindown = "spindown"

const (
	// lastResortShare is the part of the time from SHUTDOWN to the components' deadline that the last resort has in
	// addition. That deadline is after four fifths of all the time and the end of the process after nine tenths, which is
	// an eighth of the first; a third of that is left for the log lines that say what became of the data.
	lastResortShare = 12

	// lastResortTime bounds the last resort of one component where the process ends without a SHUTDOWN.
	lastResortTime = time.Second
)

var (
	errNoTime  = errors.New("the time that is left before the process ends is over")
	errBlocked = errors.New("stdout has not taken a line in time")
)

// disk is the environment's spool, shared by all components of the process: only one Open of the directory succeeds.
type disk struct {
	cfg    SpoolConfig
	logger *zap.Logger

	mu       sync.Mutex
	spool    *spool.Spool
	reserved map[string]int
	lasting  bool
	ending   time.Time   // when SHUTDOWN came
	log      *lineWriter // for the last resort, nil until it is needed
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
	d.mu.Lock()
	d.ending = time.Now()
	d.mu.Unlock()
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

// LastResort implements Lifecycle.
func (e *lambdaExtension) LastResort() (write func(line []byte) error) {
	return e.disk.lastResort(e.ShutdownDeadline())
}

// lastResort returns what writes a line to the log, until shortly after the deadline of the components.
func (d *disk) lastResort(deadline time.Time) (write func(line []byte) error) {
	if !d.cfg.Stdout {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.log == nil {
		d.log = newLineWriter(os.Stdout)
	}
	log, end := d.log, deadline
	switch {
	case deadline.IsZero():
		end = time.Now().Add(lastResortTime)
	case !d.ending.IsZero():
		end = deadline.Add(deadline.Sub(d.ending) / lastResortShare)
	}
	return func(line []byte) error { return log.write(line, end) }
}

// lineWriter writes the lines of all components one after the other, and waits for none of them longer than it is told to.
type lineWriter struct {
	out  io.Writer
	turn chan struct{} // holds a token while a line is being written
}

func newLineWriter(out io.Writer) *lineWriter {
	return &lineWriter{out: out, turn: make(chan struct{}, 1)}
}

// write hands the line over in one call. A call that does not come back in time goes on, and keeps its turn: the next line
// would end up within this one.
func (w *lineWriter) write(line []byte, end time.Time) error {
	left := time.Until(end)
	if left <= 0 {
		return errNoTime
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case w.turn <- struct{}{}:
	case <-timer.C:
		return errBlocked
	}
	written := make(chan error, 1)
	go func() {
		_, err := w.out.Write(line)
		<-w.turn
		written <- err
	}()
	select {
	case err := <-written:
		return err
	case <-timer.C:
		return errBlocked
	}
}
