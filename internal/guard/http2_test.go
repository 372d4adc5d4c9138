// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// sent is a frame with its payload.
type sent struct {
	kind, flags byte
	stream      uint32
	payload     string
}

// frames writes frames down as they are on the wire.
func frames(list ...sent) string {
	var out []byte
	for _, f := range list {
		out = append(out, byte(len(f.payload)>>16), byte(len(f.payload)>>8), byte(len(f.payload)), f.kind, f.flags)
		out = append(binary.BigEndian.AppendUint32(out, f.stream), f.payload...)
	}
	return string(out)
}

// parseFrames is the opposite of frames.
func parseFrames(t *testing.T, in []byte) (list []sent) {
	t.Helper()
	for len(in) > 0 {
		require.GreaterOrEqual(t, len(in), frameHeaderBytes)
		length := int(in[0])<<16 | int(in[1])<<8 | int(in[2])
		f := sent{kind: in[3], flags: in[4], stream: binary.BigEndian.Uint32(in[5:])}
		in = in[frameHeaderBytes:]
		require.GreaterOrEqual(t, len(in), length)
		f.payload, in = string(in[:length]), in[length:]
		list = append(list, f)
	}
	return list
}

const testAnswer = "answer"

// refuse has everything that comes in answered, and returns what was sent and how many requests that were.
func refuse(r *bufio.Reader) (out []byte, requests int, err error) {
	var w bytes.Buffer
	h := http2Refuser{r: r, w: &w, answer: []byte(testAnswer), refused: func() { requests++ }}
	err = h.serve()
	return w.Bytes(), requests, err
}

func TestHTTP2Refuser(t *testing.T) {
	const (
		rst   = 0x3
		whole = flagEndHeaders
		last  = flagEndHeaders | flagEndStream
	)
	hello := sent{kind: frameSettings, payload: openWindow}
	ack := sent{kind: frameSettings, flags: flagACK}
	answer := func(stream uint32) sent { return sent{frameHeaders, last, stream, testAnswer} }
	body := strings.Repeat("x", maxFrameBytes)
	for name, tt := range map[string]struct {
		in   []sent
		want []sent
		err  error
	}{
		"nothing": {nil, nil, io.EOF},
		"settings": {
			[]sent{{kind: frameSettings, payload: "\x00\x02\x00\x00\x00\x00"}, ack}, []sent{ack}, io.EOF,
		},
		"requests": {
			[]sent{
				{frameHeaders, whole, 1, "h"}, {frameData, 0, 1, "abc"}, {frameHeaders, last, 3, ""}, {frameData, flagEndStream, 1, ""},
				{frameHeaders, whole, 2147483647, "h"},
			},
			[]sent{answer(1), answer(3), answer(2147483647)}, io.EOF,
		},
		"a header in pieces": {
			[]sent{{frameHeaders, flagEndStream, 5, "h"}, {frameContinuation, 0, 5, "e"}, {frameContinuation, whole, 5, "ader"}},
			[]sent{answer(5)}, io.EOF,
		},
		"trailers": {
			[]sent{{frameHeaders, whole, 1, "h"}, {frameHeaders, flagEndStream, 1, "t"}, {frameContinuation, whole, 1, ""}},
			[]sent{answer(1)}, io.EOF,
		},
		"ping": {
			[]sent{{framePing, 0, 0, "12345678"}, {framePing, flagACK, 0, "87654321"}}, []sent{{framePing, flagACK, 0, "12345678"}}, io.EOF,
		},
		"what needs no answer": {
			[]sent{
				{kind: frameGoAway, payload: "12345678"}, {rst, 0, 1, "1234"}, {frameWindowUpdate, 0, 0, "1234"}, {kind: 0x2, stream: 9, payload: "12345"},
				{kind: 0xff, flags: 0xff, stream: 4, payload: "?"},
			},
			nil, io.EOF,
		},
		"much data": {
			[]sent{
				{frameHeaders, whole, 1, "h"}, {frameData, 0, 1, body}, {frameData, 0, 1, body}, {frameData, 0, 1, body},
				{frameData, 0, 1, body[1:]}, {frameData, 0, 1, "x"},
			},
			[]sent{answer(1), {frameWindowUpdate, 0, 0, "\x00\x00\x80\x00"}, {frameWindowUpdate, 0, 0, "\x00\x00\x80\x00"}}, io.EOF,
		},
		"too long":                       {[]sent{{frameHeaders, whole, 1, body + "x"}}, nil, errHTTP2},
		"settings of a stream":           {[]sent{{frameSettings, 0, 1, ""}}, nil, errHTTP2},
		"settings of another size":       {[]sent{{frameSettings, 0, 0, "12345"}}, nil, errHTTP2},
		"ping of a stream":               {[]sent{{framePing, 0, 1, "12345678"}}, nil, errHTTP2},
		"ping of another size":           {[]sent{{framePing, 0, 0, "1234567"}}, nil, errHTTP2},
		"headers of no stream":           {[]sent{{frameHeaders, whole, 0, "h"}}, nil, errHTTP2},
		"headers of a server's stream":   {[]sent{{frameHeaders, whole, 2, "h"}}, nil, errHTTP2},
		"continuation of nothing":        {[]sent{{frameContinuation, whole, 1, "h"}}, nil, errHTTP2},
		"continuation of another stream": {[]sent{{frameHeaders, 0, 1, "h"}, {frameContinuation, whole, 3, "h"}}, nil, errHTTP2},
		"something within a header":      {[]sent{{frameHeaders, 0, 1, "h"}, {framePing, 0, 0, "12345678"}}, nil, errHTTP2},
		"data of no stream":              {[]sent{{frameData, 0, 0, "abc"}}, nil, errHTTP2},
		"data before a request":          {[]sent{{frameData, 0, 1, "abc"}}, nil, errHTTP2},
	} {
		t.Run(name, func(t *testing.T) {
			out, requests, err := refuse(bufio.NewReader(strings.NewReader(frames(tt.in...))))
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, append([]sent{hello}, tt.want...), parseFrames(t, out))
			require.Len(t, slices.DeleteFunc(slices.Clone(tt.want), func(f sent) bool { return f.kind != frameHeaders }), requests)
		})
	}
}

func TestHTTP2RefuserBreaksOff(t *testing.T) {
	whole := frames(sent{frameHeaders, flagEndHeaders, 1, "h"}, sent{frameData, 0, 1, "abc"}, sent{framePing, 0, 0, "12345678"})
	for n := range whole {
		_, _, err := refuse(bufio.NewReader(strings.NewReader(whole[:n])))
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
	}
	h := http2Refuser{r: bufio.NewReader(strings.NewReader(whole)), w: brokenPipe{}, refused: func() {}}
	require.ErrorIs(t, h.serve(), io.ErrClosedPipe)
}

// What has no answer when the server goes away is for the client to send again.
func TestHTTP2RefuserGoesAway(t *testing.T) {
	one := frames(sent{frameHeaders, flagEndHeaders, 1, "h"}, sent{frameHeaders, flagEndHeaders, 3, "h"}, sent{frameData, 0, 1, "abc"})
	for in, last := range map[string]string{
		"":  "\x00\x00\x00\x00",
		one: "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, flagEndHeaders, 0x7ffffffb, "h"}):                            "\x7f\xff\xff\xfb",
		one + frames(sent{frameHeaders, flagEndHeaders, 1, "trailers"}):                              "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, flagEndHeaders, 5, "h"})[:frameHeaderBytes-1]:                "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, flagEndHeaders, 5, "h"})[:frameHeaderBytes]:                  "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, 0, 5, "h"}):                                                  "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, 0, 5, "h"}, sent{frameContinuation, 0, 5, "e"}):              "\x00\x00\x00\x03",
		one + frames(sent{frameHeaders, 0, 5, "h"}, sent{frameContinuation, flagEndHeaders, 5, "e"}): "\x00\x00\x00\x05",
	} {
		h := http2Refuser{
			r: bufio.NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(os.ErrDeadlineExceeded))), w: io.Discard,
			refused: func() {},
		}
		require.ErrorIs(t, h.serve(), os.ErrDeadlineExceeded)
		var w bytes.Buffer
		h.w = &w
		require.NoError(t, h.goAway())
		require.Equal(t, []sent{{kind: frameGoAway, payload: last + "\x00\x00\x00\x00"}}, parseFrames(t, w.Bytes()))
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzHTTP2Refuser checks that whatever comes in, what goes out are frames, one answer for each request and no more than
// one for each frame, and that it does not depend on the portions in which it comes in.
func FuzzHTTP2Refuser(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(frames(
		sent{kind: frameSettings, payload: "123456"}, sent{frameHeaders, flagEndHeaders, 1, "h"}, sent{frameData, flagEndStream, 1, "abc"},
		sent{frameHeaders, flagEndStream, 3, "h"}, sent{frameContinuation, flagEndHeaders, 3, "h"}, sent{framePing, 0, 0, "12345678"},
	)))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, requests, err := refuse(bufio.NewReader(bytes.NewReader(in)))
		require.Error(t, err, "it ends")
		slowOut, slowRequests, slowErr := refuse(bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(in)), 16))
		require.Equal(t, out, slowOut)
		require.Equal(t, requests, slowRequests)
		require.Equal(t, err, slowErr)

		sentFrames := parseFrames(t, out)
		require.LessOrEqual(t, len(sentFrames), 1+len(in)/frameHeaderBytes)
		answered, before := 0, uint32(0)
		for _, f := range sentFrames {
			if f.kind == frameHeaders {
				answered++
				require.Greater(t, f.stream, before)
				require.Equal(t, uint32(1), f.stream%2)
				before = f.stream
			}
		}
		require.Equal(t, requests, answered)
	})
}
