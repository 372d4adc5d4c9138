// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandboxstat

// Reader knows nothing on this operating system.
type Reader struct{}

// NewReader returns a Reader.
func NewReader(string) *Reader { return &Reader{} }

// Close has nothing to close.
func (*Reader) Close() {}

// Read returns a sample in which nothing is known.
func (*Reader) Read() Sample { return Sample{} }

// ReadInUse returns numbers that are not known.
func (*Reader) ReadInUse() InUse { return InUse{} }
