// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package guard runs a Lambda extension so that no fault of it reaches the function.
//
// To Lambda the guard is the extension: it registers and owns the one pending request for the next event. To the
// program it guards, the collector, it is Lambda: it serves the Extensions and Telemetry APIs on loopback. Events go
// through as long as the collector keeps up. When it is slow, hangs, crashes or is killed, the guard answers Lambda
// instead, within bounds that derive from the event's deadline, and starts the collector again at a later invocation.
//
// Decisions are in machine, which does no I/O and is told the time. Everything else acts for it. The package leaves out
// what would make the program large and slow to start: net, net/http, fmt and encoding/json.
package guard
