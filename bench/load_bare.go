// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sys/unix"
)

// bareRounds is how often the whole load is worked through for one sample: a tenth of a second.
const bareRounds = 3

// bareCosts are samples of the bare work by compression.
type bareCosts map[string][]float64

func (b bareCosts) measure(load []payload) error {
	for _, compression := range []string{compressionGzip, compressionNone} {
		cost, err := bareCost(load, compression)
		if err != nil {
			return err
		}
		b[compression] = append(b[compression], cost)
	}
	return nil
}

// bareCost is the CPU, in milliseconds for 1,000 spans, that a collector cannot do without: decoding, encoding and, with
// gzip, compressing. It is that of one thread, and thus without the garbage collection.
func bareCost(load []payload, compression string) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var zipped bytes.Buffer
	// The exporter's level.
	zip, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	before, err := threadTime()
	if err != nil {
		return 0, err
	}
	spans := 0
	for range bareRounds {
		for _, p := range load {
			request := ptraceotlp.NewExportRequest()
			if err := request.UnmarshalProto(p.body); err != nil {
				return 0, fmt.Errorf("decode the load: %w", err)
			}
			body, err := request.MarshalProto()
			if err != nil {
				return 0, fmt.Errorf("encode the load: %w", err)
			}
			spans += p.spans
			if compression == compressionNone {
				continue
			}
			zipped.Reset()
			zip.Reset(&zipped)
			if _, err := zip.Write(body); err != nil {
				return 0, err
			}
			if err := zip.Close(); err != nil {
				return 0, err
			}
		}
	}
	after, err := threadTime()
	return 1000 * millis(after-before) / float64(spans), err
}

// threadTime is the CPU time of the calling thread.
func threadTime() (time.Duration, error) {
	var used unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used)
	return time.Duration(used.Nano()), err
}
