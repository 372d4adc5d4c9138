// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEncodeDecode(t *testing.T) {
	for name, r := range map[string]Record{
		"traces":          testRecord(),
		"metrics":         {Signal: "metrics", Pipeline: "metrics", Items: 1, Payload: payload(100_000)},
		"logs":            {Signal: "logs", Pipeline: longName(maxPipeline), Items: math.MaxInt32, Payload: []byte{0}},
		"no payload":      {Signal: "logs", Pipeline: "x", Payload: []byte{}},
		"before 1970":     {Signal: "logs", Pipeline: "x", Payload: []byte{1}, Created: time.Unix(-1, 5).UTC()},
		"any name at all": {Signal: "logs", Pipeline: "\xff\x00/../ü", Payload: []byte{1}},
	} {
		t.Run(name, func(t *testing.T) {
			if r.Created.IsZero() {
				r.Created = testTime
			}
			file := encoded(t, r)
			got, err := decode(bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			require.Equal(t, r, got)
		})
	}
}

// TestFormat spells a file out, because the process that reads it may be another version of this one.
func TestFormat(t *testing.T) {
	want := slices.Concat(
		[]byte("OTSP"), []byte{1, 0}, []byte{1}, []byte{0},
		binary.LittleEndian.AppendUint64(nil, 1_785_585_600_123_456_789),
		[]byte{11, 0, 0, 0, 0, 0, 0, 0}, []byte{3, 0, 0, 0}, []byte{8, 0}, []byte{0, 0},
		[]byte{0xd3, 0x34, 0xf6, 0x34}, []byte{0x9d, 0x22, 0x48, 0x04},
		[]byte("traces/a"), []byte("three spans"),
	)
	require.Equal(t, want, encoded(t, testRecord()))
}

func TestChecksum(t *testing.T) {
	// From RFC 3720, appendix B.4.
	require.EqualValues(t, 0x8a9136aa, checksum(make([]byte, 32)))
}

func TestEncodeErrors(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Record)
		want   error
	}{
		"no signal":      {func(r *Record) { r.Signal = "" }, errSignal},
		"unknown signal": {func(r *Record) { r.Signal = "profiles" }, errSignal},
		"no pipeline":    {func(r *Record) { r.Pipeline = "" }, errPipeline},
		"long pipeline":  {func(r *Record) { r.Pipeline = longName(maxPipeline + 1) }, errPipeline},
		"negative items": {func(r *Record) { r.Items = -1 }, errItems},
		"too many items": {func(r *Record) { r.Items = math.MaxInt32 + 1 }, errItems},
	} {
		t.Run(name, func(t *testing.T) {
			r := testRecord()
			test.change(&r)
			_, err := encodeHeader(r)
			require.ErrorIs(t, err, test.want)
		})
	}
}

// TestDecodeLies is about headers that say something wrong with the right checksum.
func TestDecodeLies(t *testing.T) {
	le := binary.LittleEndian
	for name, test := range map[string]struct {
		lie  func([]byte)
		want string
	}{
		"magic":           {func(b []byte) { b[0] = 'X' }, "magic number"},
		"version":         {func(b []byte) { le.PutUint16(b[4:], 2) }, "version is 2"},
		"signal":          {func(b []byte) { b[6] = 4 }, "unknown signal"},
		"reserved":        {func(b []byte) { b[7] = 1 }, "something unknown"},
		"reserved too":    {func(b []byte) { b[31] = 1 }, "something unknown"},
		"endless payload": {func(b []byte) { le.PutUint64(b[16:], math.MaxUint64) }, "length"},
		"huge payload":    {func(b []byte) { le.PutUint64(b[16:], 1<<40) }, "length"},
		"short payload":   {func(b []byte) { le.PutUint64(b[16:], 10) }, "length"},
		"items":           {func(b []byte) { le.PutUint32(b[24:], math.MaxUint32) }, "number of items"},
		"no name":         {func(b []byte) { le.PutUint16(b[28:], 0) }, "pipeline's name"},
		"long name":       {func(b []byte) { le.PutUint16(b[28:], maxPipeline+1) }, "pipeline's name"},
		"name past end":   {func(b []byte) { le.PutUint16(b[28:], 100) }, "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			r := testRecord()
			file := encoded(t, r)
			test.lie(file)
			le.PutUint32(file[headerSum:], sumOfHeader(file[:fixedHeader+len(r.Pipeline)]))
			_, err := decode(bytes.NewReader(file), int64(len(file)))
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDecodeBitFlips(t *testing.T) {
	file := encoded(t, testRecord())
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			_, err := decode(bytes.NewReader(file), int64(len(file)))
			require.ErrorIs(t, err, ErrCorrupt, "bit %d of byte %d", bit, i)
			file[i] ^= 1 << bit
		}
	}
}

func TestDecodeShrinkingFile(t *testing.T) {
	file := encoded(t, testRecord())
	for n := range file {
		_, err := decode(bytes.NewReader(file[:n]), int64(len(file)))
		require.ErrorIs(t, err, ErrCorrupt, "%d bytes", n)
	}
}

type badDisk struct{}

var errBadDisk = errors.New("input/output error")

func (badDisk) ReadAt([]byte, int64) (int, error) { return 0, errBadDisk }

// TestDecodeDiskError tells that an error of the disk is not a fault of the file, which would be deleted for it.
func TestDecodeDiskError(t *testing.T) {
	_, err := decode(badDisk{}, 100)
	require.ErrorIs(t, err, errBadDisk)
	require.NotErrorIs(t, err, ErrCorrupt)
}

func FuzzDecode(f *testing.F) {
	for _, signal := range []string{"traces", "metrics", "logs"} {
		f.Add(encoded(f, Record{Signal: signal, Pipeline: signal + "/b", Items: 7, Payload: payload(50), Created: testTime}))
	}
	whole := encoded(f, testRecord())
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:fixedHeader])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		// The checksum would keep the fuzzer from all that is behind it.
		if len(file) >= fixedHeader {
			name := min(int(binary.LittleEndian.Uint16(file[28:])), len(file)-fixedHeader)
			binary.LittleEndian.PutUint32(file[headerSum:], sumOfHeader(file[:fixedHeader+name]))
		}
		for _, repair := range []bool{false, true} {
			if h, err := decodeHeader(file); repair && err == nil {
				binary.LittleEndian.PutUint32(file[32:], checksum(file[h.size:]))
				binary.LittleEndian.PutUint32(file[headerSum:], sumOfHeader(file[:h.size]))
			}
			r, err := decode(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
				continue
			}
			require.LessOrEqual(t, cap(r.Payload), len(file))
			require.Equal(t, file, encoded(t, r), "a record has one encoding")
		}
	})
}
