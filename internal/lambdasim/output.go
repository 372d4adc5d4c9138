// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
)

const (
	// maxLine is where a line without an end is cut, so that a process cannot fill our memory.
	maxLine = 256 << 10
	// drainLimit bounds drain against a process that writes faster than we read.
	drainLimit = 4 << 20
)

// lineReader turns what a process writes into lines.
type lineReader struct {
	file *os.File
	raw  syscall.RawConn
	emit func(line string)
	done chan struct{} // closed at the end of the file

	mu      sync.Mutex
	buf     []byte
	partial []byte
}

func newLineReader(file *os.File, emit func(line string)) (*lineReader, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &lineReader{file: file, raw: raw, emit: emit, done: make(chan struct{}), buf: make([]byte, 64<<10)}, nil
}

// run reads until the end of the file, or until close.
func (r *lineReader) run() {
	defer close(r.done)
	// An error means that the file is closed.
	_ = r.raw.Read(func(fd uintptr) bool {
		for {
			n, more := r.read(int(fd))
			if n <= 0 {
				return !more
			}
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.partial) > 0 {
		r.emit(string(r.partial))
		r.partial = nil
	}
}

// drain reads what has been written so far, so that lines written before a call to one of the APIs are events before
// those of the call.
func (r *lineReader) drain() {
	_ = r.raw.Control(func(fd uintptr) {
		for total := 0; total < drainLimit; {
			n, _ := r.read(int(fd))
			if n <= 0 {
				return
			}
			total += n
		}
	})
}

// read takes one chunk. It returns n <= 0 if there is none, and whether more may come.
func (r *lineReader) read(fd int) (n int, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		n, err := syscall.Read(fd, r.buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, true
		case err != nil || n == 0:
			return 0, false
		}
		r.split(r.buf[:n])
		return n, true
	}
}

func (r *lineReader) split(chunk []byte) {
	for len(chunk) > 0 {
		end := bytes.IndexByte(chunk, '\n')
		if end < 0 {
			r.partial = append(r.partial, chunk...)
			for len(r.partial) >= maxLine {
				r.emit(string(r.partial[:maxLine]))
				r.partial = append([]byte{}, r.partial[maxLine:]...)
			}
			return
		}
		r.partial = append(r.partial, chunk[:end]...)
		r.emit(string(bytes.TrimSuffix(r.partial, []byte{'\r'})))
		r.partial = r.partial[:0]
		chunk = chunk[end+1:]
	}
}

func (r *lineReader) close() {
	_ = r.file.Close()
	<-r.done
}
