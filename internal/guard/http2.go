// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"errors"
	"io"
)

// What RFC 9113 calls these. Frames of other types need no answer.
const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameData         = 0x0
	frameHeaders      = 0x1
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagACK        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	frameHeaderBytes = 9
	pingBytes        = 8
	settingBytes     = 6
	// maxFrameBytes is what a peer may send unless it has been allowed more.
	maxFrameBytes = 16 << 10
	// returnWindow is after how many bytes of bodies the peer is allowed as many again on the connection. It begins with
	// 65,535.
	returnWindow = 32 << 10
	// openWindow is the setting SETTINGS_INITIAL_WINDOW_SIZE with its largest value: no body is stopped by the window of its
	// stream. The answer does not wait for the body, but clients differ in whether they give up sending it then.
	openWindow = "\x00\x04\x7f\xff\xff\xff"
)

var errHTTP2 = errors.New("malformed HTTP/2")

// frame is what goes before a frame's payload.
type frame struct {
	length      int
	kind, flags byte
	stream      uint32
}

// http2Refuser is the server of a connection of HTTP/2 that gives each request the same answer, as soon as its header is
// there. It knows neither the headers, which only a decoder of HPACK could read, nor which streams there are.
type http2Refuser struct {
	r *bufio.Reader
	w io.Writer
	// answer is the header block of the answer, which ends the stream.
	answer []byte
	// refused is called before each answer.
	refused func()

	// last is the highest stream that has been answered.
	last uint32
	// block is the stream whose header is not complete, 0 for none, and opens says that the header is that of a request,
	// not the trailers of one.
	block uint32
	opens bool
	// taken is how much of bodies came since the window was last returned.
	taken int
}

// serve answers requests until the connection fails or what comes is malformed. The preface has been read.
func (h *http2Refuser) serve() error {
	if err := h.write(frame{kind: frameSettings}, []byte(openWindow)); err != nil {
		return err
	}
	for {
		f, err := h.next()
		if err != nil {
			return err
		}
		if err := h.take(f); err != nil {
			return err
		}
	}
}

// goAway tells the peer to use another connection, also for the requests under way that have no answer yet: it may send
// them again at once, whatever they do, and needs to tell nobody of it.
func (h *http2Refuser) goAway() error {
	const noError = 0
	return h.write(frame{kind: frameGoAway}, appendUint32(appendUint32(nil, h.last), noError))
}

func (h *http2Refuser) next() (frame, error) {
	var b [frameHeaderBytes]byte
	if _, err := io.ReadFull(h.r, b[:]); err != nil {
		return frame{}, err
	}
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   b[3],
		flags:  b[4],
		// The first bit is reserved.
		stream: uint32(b[5]&0x7f)<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8]),
	}, nil
}

// take reads a frame's payload and answers it.
func (h *http2Refuser) take(f frame) error {
	switch {
	case f.length > maxFrameBytes:
		return errHTTP2
	case h.block != 0 && (f.kind != frameContinuation || f.stream != h.block):
		return errHTTP2 // a header comes in one piece
	}
	switch f.kind {
	case frameHeaders, frameContinuation:
		return h.takeHeader(f)
	case frameData:
		return h.takeData(f)
	case frameSettings:
		return h.takeSettings(f)
	case framePing:
		return h.takePing(f)
	default:
		return h.discard(f)
	}
}

func (h *http2Refuser) takeHeader(f frame) error {
	if f.kind == frameHeaders {
		if f.stream%2 == 0 {
			return errHTTP2 // not one that a client opens
		}
		h.block, h.opens = f.stream, f.stream > h.last
	} else if h.block == 0 {
		return errHTTP2
	}
	if err := h.discard(f); err != nil || f.flags&flagEndHeaders == 0 {
		return err
	}
	h.block = 0
	if !h.opens {
		return nil
	}
	h.last = f.stream
	h.refused()
	return h.write(frame{kind: frameHeaders, flags: flagEndHeaders | flagEndStream, stream: f.stream}, h.answer)
}

func (h *http2Refuser) takeData(f frame) error {
	if f.stream == 0 || f.stream > h.last {
		return errHTTP2
	}
	if err := h.discard(f); err != nil {
		return err
	}
	if h.taken += f.length; h.taken < returnWindow {
		return nil
	}
	payload := appendUint32(nil, uint32(h.taken))
	h.taken = 0
	return h.write(frame{kind: frameWindowUpdate}, payload)
}

func (h *http2Refuser) takeSettings(f frame) error {
	if f.stream != 0 || f.length%settingBytes != 0 {
		return errHTTP2
	}
	if err := h.discard(f); err != nil || f.flags&flagACK != 0 {
		return err
	}
	return h.write(frame{kind: frameSettings, flags: flagACK}, nil)
}

func (h *http2Refuser) takePing(f frame) error {
	var payload [pingBytes]byte
	if f.stream != 0 || f.length != len(payload) {
		return errHTTP2
	}
	if _, err := io.ReadFull(h.r, payload[:]); err != nil || f.flags&flagACK != 0 {
		return err
	}
	return h.write(frame{kind: framePing, flags: flagACK}, payload[:])
}

func (h *http2Refuser) discard(f frame) error {
	_, err := h.r.Discard(f.length)
	return err
}

func (h *http2Refuser) write(f frame, payload []byte) error {
	out := make([]byte, 0, frameHeaderBytes+len(payload))
	out = append(out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), f.kind, f.flags)
	out = appendUint32(out, f.stream)
	_, err := h.w.Write(append(out, payload...))
	return err
}

// appendUint32 appends a number as encoding/binary would, which brings reflect along.
func appendUint32(out []byte, n uint32) []byte {
	return append(out, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// grpcRefusal is the header block of an answer of gRPC that consists of a status alone. The text has less than 128 bytes
// of ASCII without "%".
func grpcRefusal(status, text string) []byte {
	// RFC 7541: no dynamic table, whatever the peer allows, and then numbers of its static table where there are any.
	const noTable, ok, contentType, newName = "\x20", "\x88", "\x0f\x10", "\x00"
	block := []byte(noTable + ok)
	block = appendHPACK(append(block, contentType...), "application/grpc")
	block = appendHPACK(appendHPACK(append(block, newName...), "grpc-status"), status)
	return appendHPACK(appendHPACK(append(block, newName...), "grpc-message"), text)
}

// appendHPACK appends a string of less than 128 bytes.
func appendHPACK(block []byte, text string) []byte {
	return append(append(block, byte(len(text))), text...)
}
