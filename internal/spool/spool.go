// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxRecords bounds the files. A record is a whole request, so this is more than MaxBytes leaves room for, except
	// where requests are tiny. Each file takes a block of the disk besides, and about 20 µs of every Open, which is part
	// of a start that an invocation waits for.
	maxRecords = 500

	// maxSequence leaves room for the number after it.
	maxSequence = math.MaxInt64

	suffix     = ".otlp"
	tempSuffix = ".tmp"
)

var (
	// ErrFull says that a record does not fit, even if all the records were dropped that nobody holds.
	ErrFull = errors.New("the spool is full")

	// ErrDropped is the reason for a record that made room for newer ones.
	ErrDropped = errors.New("dropped to make room in the spool")

	// ErrTooLarge is the reason for a file of ours that is larger than the whole spool may be.
	ErrTooLarge = errors.New("the file is larger than the spool may be")

	// ErrUnfinished is the reason for a record that a process was writing when it died.
	ErrUnfinished = errors.New("the process died while it wrote the file")
)

var (
	errDir      = errors.New("the spool needs a directory")
	errMaxBytes = errors.New("the spool's bound in bytes must be positive")
)

// Options are what a spool is opened with.
type Options struct {
	// Dir is the directory of the spool, and of nothing else, such as /tmp/otelcol-lambda/spool.
	Dir string
	// MaxBytes bounds the files together and so, since one record is read at a time, the memory to read them. The file
	// being written comes on top until it is complete.
	MaxBytes int64
	// Now tells when a record without a time was created. Default time.Now.
	Now func() time.Time
}

// Spool is a locked directory with records.
type Spool struct {
	opts Options

	mu      sync.Mutex
	dir     *directory // nil when closed
	files   []*file    // in order of their sequence numbers
	bytes   int64      // of files
	next    uint64     // sequence number
	skipped []Skipped  // what the call under way will return
}

// file is a record on disk.
type file struct {
	sequence uint64
	size     int64
	record   Record // without the payload
	// held is set while an Entry of it is out, and for good when the file could not be read.
	held bool
}

func (f *file) name() string { return fileName(f.sequence, suffix) }

func fileName(sequence uint64, suffix string) string { return fmt.Sprintf("%020d%s", sequence, suffix) }

// Skipped is a file that no record came or will come from.
type Skipped struct {
	// Name of the file in the directory, and its size in bytes where it is known.
	Name string
	Size int64
	// Record is what the file held, without the payload, where its header could be read, and empty otherwise.
	Record Record
	// Reason wraps one of ErrCorrupt, ErrDropped, ErrForeign, ErrTooLarge, ErrUnfinished, fs.ErrNotExist for a file
	// that somebody else has deleted, or an error of the system, after which the next process may have more luck.
	Reason error
	// Removed is set when the file is gone, so that it is not reported again.
	Removed bool
}

// Open locks the directory, makes it where it is missing, and looks at what it holds. It returns ErrLocked at once
// where somebody else has the lock, ErrUnsafe for a directory that is a symbolic link, another user's, or writable by
// others, and the system's error where files cannot be made and deleted. Of the files that are not ours, only the names
// are read.
func Open(o Options) (*Spool, []Skipped, error) {
	switch {
	case o.Dir == "":
		return nil, nil, errDir
	case o.MaxBytes <= 0:
		return nil, nil, errMaxBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Spool{opts: o}
	if err := s.open(); err != nil {
		return nil, nil, err
	}
	return s, s.report(), nil
}

// Close gives the records to the next process, those of entries that are out as well.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == nil {
		return nil
	}
	err := s.dir.close()
	s.dir, s.files, s.bytes = nil, nil, 0
	return err
}

// Bytes is how much the files of the spool take, in bytes.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Pipelines lists those that Take has records of, sorted; among them may be pipelines that no longer exist.
func (s *Spool) Pipelines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, f := range s.files {
		if !f.held {
			names = append(names, f.record.Pipeline)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Put writes a record, whose payload it neither copies nor keeps. To make room it drops the oldest records that nobody
// holds, and returns them; it returns ErrFull, and drops nothing, where that is not enough. After an error, such as
// ENOSPC, the record is not in the spool.
func (s *Spool) Put(r Record) ([]Skipped, error) {
	if r.Created.IsZero() {
		r.Created = s.opts.Now()
	}
	header, err := encodeHeader(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.put(header, r)
	if errors.Is(err, fs.ErrNotExist) {
		// Functions that empty /tmp take the directory along, and the next process would not find what is in it.
		if err = s.reopen(); err == nil {
			err = s.put(header, r)
		}
	}
	return s.report(), err
}

// Take returns the oldest record of a pipeline that nobody holds, or nil when there is none or the spool is closed. The
// caller holds it until it calls Delete or Release.
func (s *Spool) Take(pipeline string) (*Entry, []Skipped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		f := s.oldest(pipeline)
		if f == nil {
			return nil, s.report()
		}
		f.held = true
		record, err := s.read(f)
		if err == nil {
			return &Entry{Record: record, spool: s, file: f}, s.report()
		}
		s.refuse(f, err)
	}
}

// Entry is a record that was taken out of a spool.
type Entry struct {
	Record

	spool *Spool
	file  *file // nil after Delete or Release
}

// Delete removes the record, because the backend has acknowledged or refused it. After an error the file is still
// there, and the next process will send it again.
func (e *Entry) Delete() error {
	s := e.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	f := e.file
	e.file = nil
	switch {
	case s.dir == nil:
		return os.ErrClosed
	case !slices.Contains(s.files, f):
		return nil // its directory was deleted; another record may have its name by now
	}
	if err := s.dir.remove(f.name()); err != nil {
		return err
	}
	s.forget(f)
	return nil
}

// Release leaves the record in the spool, because it could not be delivered: Take will return it again. It returns an
// error that wraps fs.ErrNotExist where somebody has deleted the file meanwhile, so that nothing but the entry's
// payload is left of it.
func (e *Entry) Release() error {
	s := e.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	f := e.file
	e.file = nil
	switch {
	case f == nil:
		return nil
	case s.dir == nil:
		return os.ErrClosed
	case !slices.Contains(s.files, f):
		return fs.ErrNotExist
	}
	_, err := s.dir.root.Lstat(f.name())
	if errors.Is(err, fs.ErrNotExist) {
		s.forget(f)
		return err
	}
	f.held = false
	return nil
}

// report returns what was skipped during a call.
func (s *Spool) report() []Skipped {
	skipped := s.skipped
	s.skipped = nil
	return skipped
}

// open takes stock of the directory.
func (s *Spool) open() error {
	dir, err := openDirectory(s.opts.Dir)
	if err != nil {
		return err
	}
	names, err := dir.names()
	if err != nil {
		return errors.Join(err, dir.close())
	}
	s.dir, s.files, s.bytes = dir, nil, 0
	for _, name := range names {
		s.examine(name)
	}
	slices.SortFunc(s.files, func(a, b *file) int { return cmp.Compare(a.sequence, b.sequence) })
	// The bounds may have been wider before. What cannot be dropped, because it cannot be deleted, counts as full.
	victims, _ := s.victims(0, 0)
	_ = s.drop(victims)
	return nil
}

// reopen starts over with a new directory in the place of one that was deleted.
func (s *Spool) reopen() error {
	old, lost := s.dir, s.files
	if err := s.open(); err != nil {
		return err
	}
	for _, f := range lost {
		if !f.held { // who holds it has the payload
			s.skip(f, fs.ErrNotExist, true)
		}
	}
	_ = old.close() // nothing of it is left
	return nil
}

// examine adds a file to the spool, or skips it.
func (s *Spool) examine(name string) {
	sequence, temp, ok := parseName(name)
	if !ok {
		s.skipped = append(s.skipped, Skipped{Name: name, Reason: ErrForeign})
		return
	}
	s.next = max(s.next, sequence+1)
	f := &file{sequence: sequence}
	err := s.inspect(name, f)
	switch {
	case temp && (err == nil || errors.Is(err, ErrCorrupt)):
		err = ErrUnfinished
	case err == nil && f.size > s.opts.MaxBytes:
		err = ErrTooLarge
	case err == nil:
		s.files = append(s.files, f)
		s.bytes += f.size
		return
	}
	removed := spoiled(err) && s.dir.remove(name) == nil
	s.skipped = append(s.skipped, Skipped{Name: name, Size: f.size, Record: f.record, Reason: err, Removed: removed})
}

// inspect reads what a file says of itself.
func (s *Spool) inspect(name string, f *file) error {
	content, size, err := s.dir.open(name)
	if err != nil {
		return err
	}
	defer content.Close()
	f.size = size
	h, err := readHeader(content, size)
	if err != nil {
		return err
	}
	f.record = h.record
	return h.complete(size)
}

// spoiled reports whether a file of ours will never be of use. An error of the system, such as too many open files,
// says nothing about the file.
func spoiled(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnfinished)
}

// parseName recognizes the names of our files.
func parseName(name string) (sequence uint64, temp, ok bool) {
	digits, temp := strings.CutSuffix(name, tempSuffix)
	if !temp {
		digits = strings.TrimSuffix(name, suffix)
	}
	sequence, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || sequence > maxSequence {
		return 0, false, false
	}
	want := fileName(sequence, suffix)
	if temp {
		want = fileName(sequence, tempSuffix)
	}
	return sequence, temp, name == want
}

func (s *Spool) put(header []byte, r Record) error {
	if s.dir == nil {
		return os.ErrClosed
	}
	size := int64(len(header) + len(r.Payload))
	victims, ok := s.victims(size, 1)
	if !ok || s.next > maxSequence {
		return ErrFull
	}
	f := &file{sequence: s.next, size: size, record: r}
	f.record.Payload = nil
	s.next++ // even if it fails, lest a name that is in the way be so for ever

	// What is dropped is dropped only for what has been written.
	temp := fileName(f.sequence, tempSuffix)
	if err := s.dir.write(temp, header, r.Payload); err != nil {
		return err
	}
	err := s.drop(victims)
	if err == nil {
		err = s.dir.root.Rename(temp, f.name())
	}
	if err != nil {
		return errors.Join(err, s.dir.remove(temp))
	}
	s.files = append(s.files, f)
	s.bytes += size
	return nil
}

// victims are the records to drop so that so many more fit, and whether they fit then.
func (s *Spool) victims(bytes int64, records int) ([]*file, bool) {
	var victims []*file
	bytes, records = bytes+s.bytes, records+len(s.files)
	fits := func() bool { return bytes <= s.opts.MaxBytes && records <= maxRecords }
	for _, f := range s.files {
		if fits() {
			break
		}
		if !f.held {
			victims = append(victims, f)
			bytes -= f.size
			records--
		}
	}
	return victims, fits()
}

// drop removes records to make room.
func (s *Spool) drop(victims []*file) error {
	for _, f := range victims {
		if err := s.dir.remove(f.name()); err != nil {
			return err
		}
		s.forget(f)
		s.skip(f, ErrDropped, true)
	}
	return nil
}

// oldest is the first file of a pipeline that nobody holds.
func (s *Spool) oldest(pipeline string) *file {
	for _, f := range s.files {
		if !f.held && f.record.Pipeline == pipeline {
			return f
		}
	}
	return nil
}

func (s *Spool) read(f *file) (Record, error) {
	content, size, err := s.dir.open(f.name())
	if err != nil {
		return Record{}, err
	}
	defer content.Close()
	if size > s.opts.MaxBytes {
		return Record{}, ErrTooLarge
	}
	return decode(content, size)
}

// refuse skips a record that could not be read. A file that may be read another time stays, and keeps counting.
func (s *Spool) refuse(f *file, err error) {
	gone := errors.Is(err, fs.ErrNotExist)
	removed := gone || spoiled(err) && s.dir.remove(f.name()) == nil
	if removed || errors.Is(err, ErrForeign) {
		s.forget(f)
	}
	s.skip(f, err, removed)
}

// forget takes a file that is no longer there out of the books.
func (s *Spool) forget(f *file) {
	s.files = slices.DeleteFunc(s.files, func(other *file) bool { return other == f })
	s.bytes -= f.size
}

func (s *Spool) skip(f *file, reason error, removed bool) {
	s.skipped = append(s.skipped,
		Skipped{Name: f.name(), Size: f.size, Record: f.record, Reason: reason, Removed: removed})
}
