// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// keep puts a compressor by, for which it takes some attempts: a sync.Pool forgets some of what it is given when tests look for
// races.
func keep(t *testing.T, b *bulk) {
	t.Helper()
	for range 100 {
		w := b.take(new(bytes.Buffer), firstBytes)
		require.NotNil(t, w)
		b.put(w)
		if w, ok := b.idle.Get().(interface{ Reset(io.Writer) }); ok {
			b.idle.Put(w)
			return
		}
	}
	t.Fatal("no compressor is kept")
}

func TestBulkIsForLargeBodies(t *testing.T) {
	t.Parallel()
	var b bulk
	require.Nil(t, b.take(new(bytes.Buffer), firstBytes-1), "it would not pay")
	require.NotNil(t, b.take(new(bytes.Buffer), firstBytes))
	keep(t, &b)
	require.Nil(t, b.take(new(bytes.Buffer), againBytes-1), "one without state is as fast")
}

func TestBulkIsUsedAgain(t *testing.T) {
	t.Parallel()
	for range 100 {
		var b bulk
		keep(t, &b)
		if b.take(new(bytes.Buffer), againBytes) != nil {
			return
		}
	}
	t.Fatal("no compressor is used again")
}

// telemetry is text that repeats itself less and less.
func telemetry(size int) []byte {
	random := rand.New(rand.NewPCG(1, uint64(size)))
	var text bytes.Buffer
	for text.Len() < size {
		fmt.Fprintf(&text, "http.request.method GET url.path /orders/%d id %016x ", random.IntN(1000), random.Uint64())
	}
	return text.Bytes()[:size]
}

func TestBulkPacks(t *testing.T) {
	t.Parallel()
	var transport Transport
	broken := errors.New("broken")
	for i, size := range []int{
		firstBytes, againBytes, againBytes + 1, firstBytes + 1, 3*chunkBytes - 1, 2 * firstBytes, againBytes, 7*chunkBytes + 1, minBytes,
	} {
		body := telemetry(size)
		for _, r := range []io.Reader{bytes.NewReader(body), iotest.HalfReader(bytes.NewReader(body))} {
			packed, err := transport.pack(io.NopCloser(r), size)
			require.NoError(t, err)
			require.True(t, bytes.Equal(body, unpack(t, packed)), "body %d of %d bytes", i, size)
			require.Less(t, len(packed), size/2)
		}
		// What becomes of one body is nothing to the next.
		half := io.MultiReader(bytes.NewReader(body[:size/2]), iotest.ErrReader(broken))
		_, err := transport.pack(io.NopCloser(half), size)
		require.ErrorIs(t, err, broken)
		_, err = transport.pack(io.NopCloser(bytes.NewReader(body)), size+1)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		_, err = transport.pack(io.NopCloser(bytes.NewReader(body)), size-1)
		require.ErrorIs(t, err, errTooLong)
	}
}

func TestBulkTogether(t *testing.T) {
	t.Parallel()
	var transport Transport
	var all sync.WaitGroup
	packed := make([][]byte, 20)
	errs := make([]error, len(packed))
	size := func(i int) int { return firstBytes + i }
	for i := range packed {
		all.Go(func() {
			packed[i], errs[i] = transport.pack(io.NopCloser(bytes.NewReader(telemetry(size(i)))), size(i))
		})
	}
	all.Wait()
	for i := range packed {
		require.NoError(t, errs[i])
		require.True(t, bytes.Equal(telemetry(size(i)), unpack(t, packed[i])))
	}
}

func FuzzBulk(f *testing.F) {
	f.Add([]byte(strings.Repeat("seed", minBytes)), uint16(17))
	f.Add(telemetry(1000), uint16(99))
	f.Fuzz(func(t *testing.T, seed []byte, times uint16) {
		body := bytes.Repeat(seed, int(times%1024))
		if len(body) == 0 {
			return
		}
		var transport Transport
		keep(t, &transport.bulk)
		packed, err := transport.pack(io.NopCloser(bytes.NewReader(body)), len(body))
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, unpack(t, packed)))
	})
}

// BenchmarkPack is for one body after the other, as in a burst.
func BenchmarkPack(b *testing.B) {
	for _, size := range []int{4 << 10, 32 << 10, againBytes, firstBytes, 1 << 20} {
		b.Run(fmt.Sprintf("%d KiB", size>>10), func(b *testing.B) {
			var transport Transport
			body := telemetry(size)
			first := telemetry(firstBytes)
			_, _ = transport.pack(io.NopCloser(bytes.NewReader(first)), len(first))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			packed := 0
			for b.Loop() {
				out, err := transport.pack(io.NopCloser(bytes.NewReader(body)), size)
				if err != nil {
					b.Fatal(err)
				}
				packed = len(out)
			}
			b.ReportMetric(float64(packed)/float64(size), "ratio")
		})
	}
}
