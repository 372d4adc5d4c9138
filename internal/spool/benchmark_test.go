// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchmarkBytes = 100 << 10

func benchmarkRecord() Record {
	return Record{Signal: "traces", Pipeline: "traces", Items: 300, Payload: payload(benchmarkBytes), Created: testTime}
}

func benchmarkSpool(b *testing.B, dir string) *Spool {
	b.Helper()
	s, skipped, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.NoError(b, err)
	require.Empty(b, skipped)
	return s
}

// BenchmarkPut writes to the page cache, as Put does in production. The spool is emptied outside the measured time.
func BenchmarkPut(b *testing.B) {
	s := benchmarkSpool(b, b.TempDir()+"/spool")
	defer s.Close()
	r := benchmarkRecord()
	b.SetBytes(benchmarkBytes)
	b.ReportAllocs()
	written := 0
	for b.Loop() {
		if _, err := s.Put(r); err != nil {
			b.Fatal(err)
		}
		if written++; written%500 == 0 {
			b.StopTimer()
			empty(b, s)
			b.StartTimer()
		}
	}
	require.Equal(b, written%500, empty(b, s))
}

// BenchmarkPutFull drops the oldest record for each new one.
func BenchmarkPutFull(b *testing.B) {
	r := benchmarkRecord()
	s, _, err := Open(Options{Dir: b.TempDir() + "/spool", MaxBytes: 20 * benchmarkBytes})
	require.NoError(b, err)
	defer s.Close()
	for range 20 {
		_, err := s.Put(r)
		require.NoError(b, err)
	}
	b.SetBytes(benchmarkBytes)
	b.ReportAllocs()
	for b.Loop() {
		if skipped, err := s.Put(r); err != nil || len(skipped) != 1 {
			b.Fatal(skipped, err)
		}
	}
}

// BenchmarkTake reads and deletes; the records are written outside the measured time.
func BenchmarkTake(b *testing.B) {
	s := benchmarkSpool(b, b.TempDir()+"/spool")
	defer s.Close()
	r := benchmarkRecord()
	b.SetBytes(benchmarkBytes)
	b.ReportAllocs()
	for b.Loop() {
		e, _ := s.Take("traces")
		if e == nil {
			b.StopTimer()
			for range 500 {
				_, err := s.Put(r)
				require.NoError(b, err)
			}
			b.StartTimer()
			e, _ = s.Take("traces")
		}
		if err := e.Delete(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what a start costs that finds so many records.
func BenchmarkOpen(b *testing.B) {
	for _, records := range []int{0, 10, maxRecords} {
		b.Run("records="+strconv.Itoa(records), func(b *testing.B) {
			dir := b.TempDir() + "/spool"
			s := benchmarkSpool(b, dir)
			r := benchmarkRecord()
			for range records {
				_, err := s.Put(r)
				require.NoError(b, err)
			}
			require.NoError(b, s.Close())
			b.ReportAllocs()
			for b.Loop() {
				s := benchmarkSpool(b, dir)
				if (s.Bytes() > 0) != (records > 0) {
					b.Fatal(s.Bytes())
				}
				s.Close()
			}
		})
	}
}

func empty(b *testing.B, s *Spool) int {
	b.Helper()
	n := 0
	for e, _ := s.Take("traces"); e != nil; e, _ = s.Take("traces") {
		require.NoError(b, e.Delete())
		n++
	}
	return n
}
