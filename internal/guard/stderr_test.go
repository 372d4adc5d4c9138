// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// chunks is a stream that comes in pieces.
func chunks(pieces ...string) func(p []byte) (int, error) {
	return func(p []byte) (int, error) {
		if len(pieces) == 0 {
			return 0, io.EOF
		}
		n := copy(p, pieces[0])
		if pieces[0] = pieces[0][n:]; pieces[0] == "" {
			pieces = pieces[1:]
		}
		return n, nil
	}
}

func TestLineCopier(t *testing.T) {
	long := strings.Repeat("x", 3*maxPartialLine+17)
	for name, test := range map[string]struct {
		in     []string
		writes []string
		last   string
	}{
		"nothing":         {nil, nil, ""},
		"lines":           {[]string{"one\ntwo\n"}, []string{"one\ntwo\n"}, "one\ntwo"},
		"pieces":          {[]string{"o", "ne\nt", "wo", "\n"}, []string{"one\n", "two\n"}, "one\ntwo"},
		"no end":          {[]string{"one\ntwo"}, []string{"one\n", "two", "\n"}, "one\ntwo"},
		"long":            {[]string{long}, []string{long[:maxPartialLine], long[:maxPartialLine], long[:maxPartialLine], long[:17], "\n"}, long[:maxLast]},
		"long, then more": {[]string{long + "\nend\n"}, []string{long[:maxPartialLine], long[:maxPartialLine], long[:maxPartialLine], long[:17] + "\nend\n"}, "end"},
		"empty lines":     {[]string{"\n\n", "\n"}, []string{"\n\n", "\n"}, ""},
		"reason":          {[]string{"one\notelcol-lambda cannot run: no", " file\ntwo\n"}, []string{"one\n", "two\n"}, "no file"},
		"reason, no end":  {[]string{"otelcol-lambda cannot run: no file"}, nil, "no file"},
		"reason between":  {[]string{"one\notelcol-lambda cannot run: x\ntwo\n"}, []string{"one\ntwo\n"}, "x"},
		"within a line":   {[]string{"a otelcol-lambda cannot run: x\n"}, []string{"a otelcol-lambda cannot run: x\n"}, "a otelcol-lambda cannot run: x"},
	} {
		t.Run(name, func(t *testing.T) {
			var writes []string
			c := lineCopier{to: func(p []byte) { writes = append(writes, string(p)) }}
			c.run(chunks(test.in...))
			require.Equal(t, test.writes, writes)
			require.Equal(t, test.last, c.text())
		})
	}
}

func TestLineCopierEndsWithTheStream(t *testing.T) {
	var got string
	c := lineCopier{to: func(p []byte) { got += string(p) }}
	c.run(func(p []byte) (int, error) { return copy(p, "half"), errors.New("closed") })
	require.Equal(t, "half\n", got)
}

func FuzzLineCopier(f *testing.F) {
	f.Add("one\ntwo", 3)
	f.Add(strings.Repeat("x", 5000)+"\n", 700)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size <= 0 || strings.Contains(text, contract.ReasonPrefix) {
			return
		}
		var pieces []string
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		var got strings.Builder
		c := lineCopier{to: func(p []byte) { got.Write(p) }}
		c.run(chunks(pieces...))
		want := text
		if text != "" && !strings.HasSuffix(text, "\n") {
			want += "\n"
		}
		require.Equal(t, want, got.String())
		require.Contains(t, text, c.text())
		require.LessOrEqual(t, len(c.text()), maxLast)
	})
}
