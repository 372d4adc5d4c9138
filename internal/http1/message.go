// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "strings"

// Request is a request with its whole body.
type Request struct {
	// Method is case-sensitive.
	Method string
	// Target is path and query as they stand in the request line, still percent-encoded, or "*". A target with scheme
	// and host has been reduced to this, and Host in Header replaced by its host, as RFC 9112 section 3.2.2 has it.
	Target string
	// Header is never interpreted by the caller for framing: Append writes the fields that describe the connection and
	// the body's length itself and passes over those found here, so a request that was read can be sent on as it is.
	Header Header
	// Body is decoded if it came in chunks.
	Body []byte
	// TooLarge says that the body was larger than Limits.BodyBytes, and was thrown away.
	TooLarge bool

	// Replayable says that the server may see the request twice. See Client.Do.
	Replayable bool
	// Written, if set, is called by Client each time that it has written the request, before it waits for the response.
	Written func()
	// Done is closed while Server's handler runs if the peer has closed its side of the connection or sent something
	// that is not a request, which a Server with Brief does not look at, or if the Server is closed; and in any case
	// after the handler has returned. It is nil in requests that do not come from Server.
	Done <-chan struct{}
}

// Path returns the target without its query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

// Response is a response with its whole body.
type Response struct {
	// Status has three digits.
	Status int
	// Reason may be empty. AppendResponse then writes the usual one, if it knows it.
	Reason string
	// Header is treated as that of Request is.
	Header Header
	// Body is decoded if it came in chunks. It is empty in responses to HEAD and for statuses that have no body.
	Body []byte
}

// Limits bounds what is read of one message. A zero field means its default.
type Limits struct {
	// HeaderFields is the number of header fields, 100 by default.
	HeaderFields int
	// HeaderBytes is the size of start line and header with the responses of status 1xx before them, and again that of
	// chunk extensions and trailers: 16 KiB by default.
	HeaderBytes int
	// BodyBytes is the size of the decoded body: 1 MiB by default, to which Lambda's own API limits
	// bodies, and never more than 1 GiB.
	BodyBytes int
	// ExcessBytes is how much larger than BodyBytes the body of a request may be to be read all the same, and thrown away.
	// The request says so in TooLarge. Beyond it the body is left unread, and the error is ErrBodyTooLarge. 0 by default.
	ExcessBytes int

	// discard says that bodies are read and not kept.
	discard bool
}

func (l Limits) withDefaults() Limits {
	if l.HeaderFields == 0 {
		l.HeaderFields = 100
	}
	if l.HeaderBytes == 0 {
		l.HeaderBytes = 16 << 10
	}
	if l.BodyBytes == 0 {
		l.BodyBytes = 1 << 20
	}
	l.BodyBytes = min(l.BodyBytes, maxLength-1)
	l.ExcessBytes = min(l.ExcessBytes, maxLength-1-l.BodyBytes)
	return l
}
