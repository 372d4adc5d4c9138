// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// readLines runs a reader on a pipe that write fills.
func readLines(t *testing.T, write func(w *os.File, r *lineReader)) []string {
	t.Helper()
	read, w, err := os.Pipe()
	require.NoError(t, err)
	var mu sync.Mutex
	lines := []string{}
	r, err := newLineReader(read, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	})
	require.NoError(t, err)
	go r.run()
	write(w, r)
	require.NoError(t, w.Close())
	<-r.done
	r.close()
	mu.Lock()
	defer mu.Unlock()
	return lines
}

func TestLineReader(t *testing.T) {
	for name, tt := range map[string]struct {
		writes []string
		want   []string
	}{
		"nothing":       {nil, []string{}},
		"lines":         {[]string{"a\nb\n"}, []string{"a", "b"}},
		"parts":         {[]string{"a", "b\nc", "d", "\n"}, []string{"ab", "cd"}},
		"no end":        {[]string{"a\nb"}, []string{"a", "b"}},
		"empty lines":   {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"windows":       {[]string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"long":          {[]string{strings.Repeat("x", 100_000) + "\n"}, []string{strings.Repeat("x", 100_000)}},
		"without limit": {[]string{strings.Repeat("x", maxLine+1)}, []string{strings.Repeat("x", maxLine), "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, readLines(t, func(w *os.File, _ *lineReader) {
				for _, s := range tt.writes {
					_, err := w.WriteString(s)
					require.NoError(t, err)
				}
			}))
		})
	}
}

// After drain everything written before has been read, although nobody waited for the reader.
func TestLineReaderDrain(t *testing.T) {
	read, w, err := os.Pipe()
	require.NoError(t, err)
	var mu sync.Mutex
	n := 0
	r, err := newLineReader(read, func(string) {
		mu.Lock()
		defer mu.Unlock()
		n++
	})
	require.NoError(t, err)
	go r.run()
	for i := range 1000 {
		_, err := w.WriteString("line\n")
		require.NoError(t, err)
		r.drain()
		mu.Lock()
		require.Equal(t, i+1, n)
		mu.Unlock()
	}
	// The writer is still there: close does not wait for it.
	r.close()
	r.drain()
	require.NoError(t, w.Close())
}

// Nothing is lost or invented, however the bytes are cut.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("a\nb\r\nc"), uint(2))
	f.Add([]byte("\n\n\r"), uint(1))
	f.Fuzz(func(t *testing.T, data []byte, cut uint) {
		var got strings.Builder
		r := &lineReader{emit: func(line string) {
			require.NotContains(t, line, "\n")
			got.WriteString(line + "\n")
		}}
		step := int(cut%64) + 1
		for rest := data; len(rest) > 0; {
			n := min(step, len(rest))
			r.split(rest[:n])
			rest = rest[n:]
		}
		got.Write(r.partial)
		want := strings.ReplaceAll(string(data), "\r\n", "\n")
		require.Equal(t, want, got.String())
	})
}
