// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"
)

const (
	magic   = "OTSP"
	version = 1

	fixedHeader = 40 // bytes before the pipeline's name
	headerSum   = 36 // where the checksum of the header is

	maxPipeline = 1024
	maxHeader   = fixedHeader + maxPipeline
)

// ErrCorrupt is the reason for a file of ours that does not hold a record, or no longer.
var ErrCorrupt = errors.New("the file is damaged")

var (
	errSignal   = errors.New("a record's signal must be traces, metrics or logs")
	errPipeline = fmt.Errorf("the name of a record's pipeline must have 1 to %d bytes", maxPipeline)
	errItems    = errors.New("a record's number of items must not be negative or more than 32 bits")
)

// Record is a request that was not delivered.
type Record struct {
	// Signal is traces, metrics or logs.
	Signal string
	// Pipeline tells whose queue the data was in, such as "traces/a".
	Pipeline string
	// Items is the number of spans, metric points or log records.
	Items int
	// Payload is the data as OTLP protobuf. Nothing here looks into it.
	Payload []byte
	// Created is when the data was spooled, by the wall clock and in UTC. It says nothing about the order.
	Created time.Time
}

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

func signalCode(name string) (byte, error) {
	switch name {
	case "traces":
		return 1, nil
	case "metrics":
		return 2, nil
	case "logs":
		return 3, nil
	}
	return 0, errSignal
}

func signalName(code byte) (string, error) {
	switch code {
	case 1:
		return "traces", nil
	case 2:
		return "metrics", nil
	case 3:
		return "logs", nil
	}
	return "", corrupt("it is of an unknown signal")
}

// encodeHeader returns what comes before the payload.
func encodeHeader(r Record) ([]byte, error) {
	signal, err := signalCode(r.Signal)
	switch {
	case err != nil:
		return nil, err
	case r.Pipeline == "" || len(r.Pipeline) > maxPipeline:
		return nil, errPipeline
	case r.Items < 0 || r.Items > math.MaxInt32:
		return nil, errItems
	}
	le := binary.LittleEndian
	b := make([]byte, fixedHeader, fixedHeader+len(r.Pipeline))
	copy(b, magic)
	le.PutUint16(b[4:], version)
	b[6] = signal
	le.PutUint64(b[8:], uint64(r.Created.UnixNano()))
	le.PutUint64(b[16:], uint64(len(r.Payload)))
	le.PutUint32(b[24:], uint32(r.Items))
	le.PutUint16(b[28:], uint16(len(r.Pipeline)))
	le.PutUint32(b[32:], checksum(r.Payload))
	b = append(b, r.Pipeline...)
	le.PutUint32(b[headerSum:], sumOfHeader(b))
	return b, nil
}

// sumOfHeader is the checksum of a header but for the place of the checksum.
func sumOfHeader(b []byte) uint32 {
	return crc32.Update(checksum(b[:headerSum]), crc32.MakeTable(crc32.Castagnoli), b[fixedHeader:])
}

// header is what a file says of itself.
type header struct {
	record     Record // without the payload
	size       int    // of the header
	payload    uint64 // length
	payloadSum uint32
}

// decodeHeader reads the header at the beginning of b, which may hold more or less than that.
func decodeHeader(b []byte) (header, error) {
	switch {
	case len(b) < fixedHeader:
		return header{}, corrupt("its header is incomplete")
	case string(b[:len(magic)]) != magic:
		return header{}, corrupt("it does not begin with the magic number")
	}
	le := binary.LittleEndian
	if v := le.Uint16(b[4:]); v != version {
		return header{}, corrupt(fmt.Sprintf("its version is %d instead of %d", v, version))
	}
	name := int(le.Uint16(b[28:]))
	switch {
	case name == 0 || name > maxPipeline:
		return header{}, corrupt("the length of its pipeline's name is out of bounds")
	case len(b) < fixedHeader+name:
		return header{}, corrupt("its header is incomplete")
	}
	b = b[:fixedHeader+name]
	if le.Uint32(b[headerSum:]) != sumOfHeader(b) {
		return header{}, corrupt("the checksum of its header is wrong")
	}
	signal, err := signalName(b[6])
	items := le.Uint32(b[24:])
	switch {
	case err != nil:
		return header{}, err
	case items > math.MaxInt32:
		return header{}, corrupt("its number of items is out of bounds")
	case b[7] != 0 || le.Uint16(b[30:]) != 0:
		return header{}, corrupt("its header holds something unknown")
	}
	return header{
		record: Record{
			Signal:   signal,
			Pipeline: string(b[fixedHeader:]),
			Items:    int(items),
			Created:  time.Unix(0, int64(le.Uint64(b[8:]))).UTC(),
		},
		size:       len(b),
		payload:    le.Uint64(b[16:]),
		payloadSum: le.Uint32(b[32:]),
	}, nil
}

// readHeader reads the header of a file of so many bytes.
func readHeader(r io.ReaderAt, size int64) (header, error) {
	b := make([]byte, min(size, maxHeader))
	if err := readFull(r, b, 0); err != nil {
		return header{}, err
	}
	return decodeHeader(b)
}

// complete checks that a file of so many bytes holds the payload that its header announces, and nothing else.
func (h header) complete(size int64) error {
	if size < int64(h.size) || h.payload != uint64(size)-uint64(h.size) {
		return corrupt("its length is not what its header says")
	}
	return nil
}

// decode reads the record from a file of so many bytes. It takes no more memory than the file is long.
func decode(r io.ReaderAt, size int64) (Record, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return Record{}, err
	}
	if err := h.complete(size); err != nil {
		return Record{}, err
	}
	payload := make([]byte, h.payload)
	if err := readFull(r, payload, int64(h.size)); err != nil {
		return Record{}, err
	}
	if checksum(payload) != h.payloadSum {
		return Record{}, corrupt("the checksum of its payload is wrong")
	}
	h.record.Payload = payload
	return h.record, nil
}

// readFull fills b. A file that has become shorter meanwhile is damaged; any other error is the disk's or the system's.
func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return corrupt("it is shorter than it was")
	default:
		return err
	}
}
