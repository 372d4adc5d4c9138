// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"errors"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

// noRoom is the reason for data on disk that had to make room for newer data.
const noRoom = "dropped to make room in the spool"

// unreadable is the reason for data on disk that is not what was written.
const unreadable = "the spooled data is damaged"

const (
	// writtenToLog is the reason for data that went into the log.
	writtenToLog = "written to the log"

	// tooLong is the reason for a single span, data point or log record that no line takes.
	tooLong = "too long for a line of the log"

	// maxLine is what a line has at most, in bytes and with its end. CloudWatch Logs takes 256 KiB as one event. A quarter
	// of that is for its own 26 bytes, and for an envelope: the quotes of a line that becomes a JSON string each grow by
	// one byte, and there are few lines of OTLP JSON of which more than a quarter are quotes.
	maxLine = 192 << 10

	// maxPiece is how much OTLP protobuf is tried on one line. Most data takes up to three times the space as JSON.
	maxPiece = maxLine / 4
)

// disk is the environment's spool, nil where there is none for this pipeline, and whether it outlives this process.
func (d *decouple[T]) disk() (s *spool.Spool, lasting bool) {
	if d.lifecycle == nil {
		return nil, false
	}
	return d.lifecycle.Spool(d.name)
}

// load takes what an earlier process of the environment could not deliver to the front of the queue, as much as fits: it is
// the oldest data there is. Files stay until their data is acknowledged.
func (d *decouple[T]) load() {
	disk, _ := d.disk()
	if disk == nil || d.givenUp {
		return
	}
	var loaded []item[T]
	for d.bytes == 0 || d.bytes < d.cfg.MaxQueueBytes/2 {
		entry, skipped := disk.Take(d.name)
		d.lost(skipped)
		if entry == nil {
			break
		}
		data, err := d.sig.unmarshal(entry.Payload)
		if err != nil {
			d.drop(unreadable, entry.Items)
			d.discard(entry)
			continue
		}
		it := item[T]{data: data, count: d.sig.count(data), bytes: d.sig.bytes(data), entry: entry, since: entry.Created}
		d.bytes += it.bytes
		loaded = append(loaded, it)
	}
	if len(loaded) > 0 {
		d.logger.Info("Found data that an earlier process of this environment could not deliver",
			zap.String("items", d.sig.name), zap.Int("requests", len(loaded)))
		d.queue = append(loaded, d.queue...)
	}
}

// save writes data to disk for the next process, and reports whether it is safe there.
func (d *decouple[T]) save(it item[T]) bool {
	disk, lasting := d.disk()
	switch {
	case disk == nil || !lasting:
		return false
	case it.entry != nil:
		// It never left the disk.
		return it.entry.Release() == nil
	}
	payload, err := d.sig.marshal(it.data)
	if err == nil {
		var skipped []spool.Skipped
		skipped, err = disk.Put(spool.Record{Signal: d.sig.kind, Pipeline: d.name, Items: it.count, Payload: payload})
		d.lost(skipped)
	}
	if err != nil {
		d.logger.Warn("Data cannot be kept for the next process", zap.String("items", d.sig.name), zap.Error(err))
		return false
	}
	return true
}

// abandonDisk gives to the last resort what is on disk and will never be sent, because the disk goes with the environment.
func (d *decouple[T]) abandonDisk(last *lastResort[T]) {
	disk, lasting := d.disk()
	if disk == nil || lasting {
		return
	}
	for {
		entry, skipped := disk.Take(d.name)
		d.lost(skipped)
		if entry == nil {
			return
		}
		if last.over() {
			d.drop(notDelivered, entry.Items)
			continue
		}
		data, err := d.sig.unmarshal(entry.Payload)
		if err != nil {
			d.drop(unreadable, entry.Items)
			d.discard(entry)
			continue
		}
		last.take(item[T]{data: data, count: d.sig.count(data), bytes: d.sig.bytes(data), entry: entry})
	}
}

// lost counts what cannot be had back from disk.
func (d *decouple[T]) lost(skipped []spool.Skipped) {
	for _, s := range skipped {
		reason := unreadable
		switch {
		case errors.Is(s.Reason, spool.ErrForeign):
			continue // it is nobody's data
		case errors.Is(s.Reason, spool.ErrDropped):
			reason = noRoom
		case !s.Removed:
			continue // the next process may have more luck
		}
		d.logger.Debug("Spooled data is gone", zap.String("file", s.Name), zap.Error(s.Reason))
		d.drop(reason, s.Record.Items)
	}
}

// discard deletes the file of data that is delivered, or will never be.
func (d *decouple[T]) discard(entry *spool.Entry) {
	if entry == nil {
		return
	}
	if err := entry.Delete(); err != nil {
		d.logger.Warn("Spooled data that is delivered cannot be deleted, so that it may be sent again", zap.Error(err))
	}
}

// lastResort is for data that nobody else will take: it goes into the log where the configuration says so, and is dropped
// otherwise.
type lastResort[T any] struct {
	*decouple[T]
	write func(line []byte) error // nil without a log
	err   error                   // of the first line that could not be written, after which none is tried
}

func (d *decouple[T]) lastResort() *lastResort[T] {
	last := &lastResort[T]{decouple: d}
	if d.lifecycle != nil {
		last.write = d.lifecycle.LastResort()
	}
	return last
}

// over reports whether nothing can be written, or nothing more.
func (l *lastResort[T]) over() bool { return l.write == nil || l.err != nil }

// take writes data to the log, and counts what it could not write as dropped.
func (l *lastResort[T]) take(it item[T]) {
	if left := it.count - l.writeLines(it.data, maxPiece); left > 0 {
		l.drop(notDelivered, left)
		return
	}
	l.discard(it.entry)
}

// writeLines writes data in pieces of so many bytes of OTLP protobuf, or smaller ones where that makes too long a line. It
// returns of how many items the fate is known.
func (l *lastResort[T]) writeLines(data T, maxBytes int) (done int) {
	if l.over() {
		return 0
	}
	count, bytes := l.sig.count(data), l.sig.bytes(data)
	if bytes <= maxBytes || count == 1 {
		line, err := l.sig.json(data)
		switch {
		case err != nil:
			l.logger.Warn("Data cannot be written to the log", zap.String("items", l.sig.name), zap.Error(err))
			return 0
		case len(line) < maxLine:
			return l.writeLine(append(line, '\n'), count)
		case count == 1:
			l.drop(tooLong, 1)
			return 1
		}
		maxBytes = bytes / 2
	}
	// A copy, because an exporter that does not notice that it is cancelled may still read the data.
	for _, piece := range l.sig.split(l.sig.copy(data), maxBytes) {
		done += l.writeLines(piece, maxBytes)
	}
	return done
}

func (l *lastResort[T]) writeLine(line []byte, count int) (done int) {
	if l.err = l.write(line); l.err != nil {
		return 0
	}
	l.drop(writtenToLog, count)
	return count
}

// report says what went into the log.
func (l *lastResort[T]) report() {
	if l.err != nil {
		l.logger.Warn("Not everything that is left could be written to the log",
			zap.String("items", l.sig.name), zap.Error(l.err))
	}
	if count := l.dropped[writtenToLog]; count > 0 {
		l.logger.Warn("Data that could be neither delivered nor kept on disk was written to the log as lines of OTLP JSON; "+
			"`spool` in the README of the lambda extension tells how to send them",
			zap.String("items", l.sig.name), zap.Int("count", count))
	}
}
