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

// abandonDisk counts what is on disk and will never be sent, because the disk goes with the environment.
func (d *decouple[T]) abandonDisk() {
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
		d.drop(notDelivered, entry.Items)
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
