// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"errors"
	"io"

	original "example.com/original/json-iterator"
	standin "github.com/json-iterator/go"
)

// reader is what both iterators have.
type reader interface {
	ReadInt32() int32
	ReadUint32() uint32
	ReadInt64() int64
	ReadUint64() uint64
	ReadFloat32() float32
	ReadFloat64() float64
	ReadBool() bool
	ReadString() string
	ReadStringAsSlice() []byte
	ReadArray() bool
	ReadObject() string
	Skip()
}

type iterator struct {
	reader
	err func() error
	// next is 's' for a string, 'n' for a number, otherwise 0.
	next func() byte
}

func (i iterator) failed() bool { return i.err() != nil && !errors.Is(i.err(), io.EOF) }

func ofStandIn(data []byte) iterator {
	i := standin.ConfigFastest.BorrowIterator(data)
	return iterator{i, func() error { return i.Error }, func() byte {
		switch i.WhatIsNext() {
		case standin.StringValue:
			return 's'
		case standin.NumberValue:
			return 'n'
		default:
			return 0
		}
	}}
}

func ofOriginal(data []byte) iterator {
	i := original.ConfigFastest.BorrowIterator(data)
	return iterator{i, func() error { return i.Error }, func() byte {
		switch i.WhatIsNext() {
		case original.StringValue:
			return 's'
		case original.NumberValue:
			return 'n'
		default:
			return 0
		}
	}}
}

// operation is how a value is read.
type operation byte

const (
	readInt32 operation = iota
	readUint32
	readInt64
	readUint64
	readFloat32
	readFloat64
	readBool
	readString
	readSlice
	skip
	readArray
	readObject
	operations
)

// walk reads a value, and the values in it as choose says. Objects and arrays that were read as such have an end.
type walk struct {
	iterator
	// choose gets the name of the value, and which one it is of all that are read.
	choose func(name string, n int) operation
	values int
	read   []any
}

func (w *walk) value(name string) {
	if w.failed() {
		return
	}
	w.values++
	switch w.choose(name, w.values-1) {
	case readInt32:
		w.read = append(w.read, w.ReadInt32())
	case readUint32:
		w.read = append(w.read, w.ReadUint32())
	case readInt64:
		w.read = append(w.read, w.ReadInt64())
	case readUint64:
		w.read = append(w.read, w.ReadUint64())
	case readFloat32:
		w.read = append(w.read, w.ReadFloat32())
	case readFloat64:
		w.number()
	case readBool:
		w.read = append(w.read, w.ReadBool())
	case readString:
		w.read = append(w.read, w.ReadString())
	case readSlice:
		w.read = append(w.read, string(w.ReadStringAsSlice()))
	case readArray:
		w.read = append(w.read, '[')
		for w.ReadArray() && !w.failed() {
			w.value("")
		}
		w.read = append(w.read, ']')
	case readObject:
		w.read = append(w.read, '{')
		for f := w.ReadObject(); f != "" && !w.failed(); f = w.ReadObject() {
			w.read = append(w.read, f)
			w.value(f)
		}
		w.read = append(w.read, '}')
	default:
		w.Skip()
		w.read = append(w.read, "skipped")
	}
}

// number reads as pdata does: either a number or a string with one.
func (w *walk) number() {
	next := w.next()
	w.read = append(w.read, next)
	if next == 'n' {
		w.read = append(w.read, w.ReadFloat64())
		return
	}
	w.read = append(w.read, w.ReadString())
}
