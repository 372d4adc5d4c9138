// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package compress

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// What is large comes in bursts, one request after the other. Then a compressor that stays takes half of the CPU of compression
// without state, for 0.8 MB of memory.
const (
	// firstBytes is the smallest body for which a compressor is made, which takes as long as compressing 128 to 256 KiB.
	firstBytes = 512 << 10
	// againBytes is the smallest for which one is used that is there.
	againBytes = 64 << 10
)

// bulk keeps compressors for as long as they are used: the second garbage collection without that takes them.
type bulk struct{ idle sync.Pool }

// take returns a compressor that writes to out, or nil where it is not worth it for a body of so many bytes.
func (b *bulk) take(out *bytes.Buffer, length int) *flate.Writer {
	if length < againBytes {
		return nil
	}
	if w, ok := b.idle.Get().(*flate.Writer); ok {
		w.Reset(out)
		return w
	}
	if length < firstBytes {
		return nil
	}
	w, err := flate.NewWriter(out, flate.BestSpeed)
	if err != nil {
		return nil // which only an unknown level has
	}
	return w
}

// put keeps a compressor for later, whatever has become of the body.
func (b *bulk) put(w *flate.Writer) {
	w.Reset(io.Discard) // so that it keeps nothing of the last one
	b.idle.Put(w)
}
