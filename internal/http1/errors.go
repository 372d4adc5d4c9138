// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "errors"

// What can be wrong with a message. Besides these, reading returns io.EOF if the peer closed the connection before the
// first byte, io.ErrUnexpectedEOF if it did so later, and the connection's own errors.
var (
	// ErrMalformed is returned for a message that breaks the grammar or whose length is ambiguous: status 400.
	ErrMalformed = errors.New("malformed message")
	// ErrHeaderTooLarge is returned when start line, header, chunk extensions or trailers exceed Limits: status 431.
	ErrHeaderTooLarge = errors.New("header too large")
	// ErrBodyTooLarge is returned when the body exceeds Limits: status 413.
	ErrBodyTooLarge = errors.New("body too large")
	// ErrUnsupported is returned for transfer codings other than chunked, for CONNECT and for a switch of protocols:
	// status 501.
	ErrUnsupported = errors.New("not supported")
	// ErrVersion is returned for protocol versions other than 1.x: status 505.
	ErrVersion = errors.New("protocol version not supported")
	// ErrUnwritable is returned for a message of ours that must not be written, such as a header value with a line break.
	ErrUnwritable = errors.New("message cannot be written")
	// ErrDeadline is returned by Client.Do when its deadline has passed.
	ErrDeadline = errors.New("deadline passed")
	// ErrClosed is returned by Client.Do and Server.Serve after Close.
	ErrClosed = errors.New("closed")
)

// detailedError is one of the errors above with what exactly was wrong.
type detailedError struct {
	kind   error
	detail string
}

func (e *detailedError) Error() string { return e.kind.Error() + ": " + e.detail }

func (e *detailedError) Unwrap() error { return e.kind }

func malformed(detail string) error { return &detailedError{kind: ErrMalformed, detail: detail} }

func unsupported(detail string) error { return &detailedError{kind: ErrUnsupported, detail: detail} }

func unwritable(detail string) error { return &detailedError{kind: ErrUnwritable, detail: detail} }

// causedError is one of the errors above with what caused it.
type causedError struct {
	what  string
	cause error
}

func (e *causedError) Error() string { return e.what + ": " + e.cause.Error() }

func (e *causedError) Unwrap() error { return e.cause }

// ErrIncomplete says that the body of a request did not come in full: the peer closed its side, or ReadTimeout is over.
var ErrIncomplete = errors.New("the body of the request is incomplete")

// statusOf returns the status that answers a request that could not be read, or 0 if there is nobody to answer.
func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrMalformed):
		return 400
	case errors.Is(err, ErrBodyTooLarge):
		return 413
	case errors.Is(err, ErrHeaderTooLarge):
		return 431
	case errors.Is(err, ErrUnsupported):
		return 501
	case errors.Is(err, ErrVersion):
		return 505
	default:
		return 0
	}
}
