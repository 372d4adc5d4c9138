// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package http1 is the part of HTTP/1.1 (RFC 9112) that a small program beside the Lambda APIs needs: messages whose
// bodies are read whole within limits, a client of one connection, and a server whose handlers may block for hours.
//
// It exists for its size. The guard is started before anything else in a cold start, and net/http alone would make it
// several times as large and as slow to start; so nothing here may import net/http, anything that brings in
// reflection, or net, which a test checks. The collector has net/http, but asks Lambda for events with the client of this
// package and takes its telemetry with the server, for which that takes less than half of the memory.
//
// What can be read in two ways is refused: a message with both Content-Length and Transfer-Encoding, with more than one
// Content-Length, with a folded header field, with whitespace before the colon. There are no timeouts of idle
// connections, nor of slow peers unless asked for, because in Lambda all processes may be frozen for hours between any
// two bytes.
package http1
