// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"strings"
	"sync"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

const (
	// maxPartialLine is how much of a line without an end is kept back. Whole lines are passed on in one piece, so that
	// the guard's own do not end up within.
	maxPartialLine = 4 << 10

	// maxLast is how much of what the collector wrote last is shown when it has died: a panic's message with the top of
	// the stack, or a configuration error. Lambda splits lines that are much longer.
	maxLast = 2 << 10
)

// lineCopier copies a stream line by line and remembers its end.
type lineCopier struct {
	to func(p []byte)

	mu     sync.Mutex
	last   []byte
	reason string
}

// run copies until the end of the stream, or until it cannot be read. A last line without an end gets one. The stream
// is a function because a file that becomes an io.Reader brings with it all that io.Copy can do with one.
func (c *lineCopier) run(read func(p []byte) (int, error)) {
	buffer := make([]byte, 0, maxPartialLine)
	open := false // what was written last is not the end of a line
	write := func(p []byte) {
		if !open {
			p = c.takeReason(p)
		}
		if len(p) > 0 {
			c.remember(p)
			c.to(p)
			open = p[len(p)-1] != '\n'
		}
	}
	for {
		n, err := read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		end := bytes.LastIndexByte(buffer, '\n') + 1
		if end == 0 && len(buffer) == cap(buffer) {
			end = len(buffer)
		}
		write(buffer[:end])
		buffer = buffer[:copy(buffer, buffer[end:])]
		if err != nil {
			write(buffer)
			if open {
				c.to([]byte{'\n'})
			}
			return
		}
	}
}

// takeReason cuts the line that is for the guard alone out of p, which begins with a line.
func (c *lineCopier) takeReason(p []byte) []byte {
	for at := 0; at < len(p); {
		end := len(p)
		if i := bytes.IndexByte(p[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if reason, ok := bytes.CutPrefix(p[at:end], []byte(contract.ReasonPrefix)); ok {
			c.mu.Lock()
			c.reason = strings.TrimSpace(string(reason))
			c.mu.Unlock()
			return append(p[:at], p[end:]...)
		}
		at = end
	}
	return p
}

func (c *lineCopier) remember(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) >= maxLast {
		c.last = append(c.last[:0], p[len(p)-maxLast:]...)
		return
	}
	if excess := len(c.last) + len(p) - maxLast; excess > 0 {
		c.last = c.last[:copy(c.last, c.last[excess:])]
	}
	c.last = append(c.last, p...)
}

// text is the reason that the program gave for its end or else the end of the stream, from the beginning of a line if it
// has one.
func (c *lineCopier) text() string {
	c.mu.Lock()
	text, reason := string(c.last), c.reason
	c.mu.Unlock()
	if reason != "" {
		return reason
	}
	if len(text) == maxLast {
		if _, rest, ok := strings.Cut(text, "\n"); ok && strings.TrimSpace(rest) != "" {
			text = rest
		}
	}
	return strings.TrimSpace(text)
}
