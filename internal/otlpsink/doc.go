// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package otlpsink is an OTLP backend for tests, the simulator and the demo. A Sink takes OTLP over HTTP and gRPC,
// keeps every item that arrived, and misbehaves on request. A Tap sits between an application and a collector and
// keeps what the collector accepted. Items have the same identity in both (Identities), so that an account can say what
// was lost on the way and what arrived twice.
//
// # Identity
//
// The identity of an item is a string that starts with its signal:
//
//   - traces/TRACE_ID/SPAN_ID for a span;
//   - metrics/HASH for a metric point, of its resource, scope, metric name and type, point attributes, timestamps and
//     value;
//   - logs/HASH for a log record, of its resource, scope, timestamps, body, attributes, trace id and span id.
//
// Of the resource only the attributes service.name and service.instance.id count: a collector may add others between
// tap and sink (the resource processor does, so do detectors), and the item would still be the same. Two points or
// records that agree in everything named above have one identity; they are told apart by how often it occurs.
//
// # Faults
//
// Faults are written as
//
//	faults = fault *( ";" fault )
//	fault  = action *( "," option )
//
// with spaces allowed around every word. The actions:
//
//	status=CODE       answer with this HTTP status, 300 to 599, and its gRPC equivalent
//	latency=DURATION  wait before answering; several that apply add up, and later faults still apply
//	hang              read the request, then answer only when released
//	hang_before_read  read nothing after the request's headers until released
//	close             read the request, then close the connection in good order without an answer
//	reset             the same with a TCP reset
//	ack_lost          record the items as arrived, then reset the connection instead of answering
//	partial=N         reject the first N items of the request, accept the rest, answer with a partial success
//	refuse            close the listener and all connections; it comes back on the same port
//
// The options:
//
//	first=N           stop after N requests were hit
//	skip=N            let N requests pass first
//	every=K           hit every K-th request only
//	from=DURATION     start that long after Start or SetFaults
//	for=DURATION      end that long after it began
//	signal=NAME       requests for traces, metrics or logs only
//	transport=NAME    requests over http or grpc only
//	retry_after=DURATION  with status: the Retry-After header in whole seconds, rounded up, and gRPC's RetryInfo
//	code=NAME         with status: this gRPC code, such as UNAVAILABLE, instead of the equivalent
//
// Faults are asked in order. The first one, other than a latency, that takes a request decides about it, and those
// after it do not count that request. So `status=503,first=20;status=429,first=5` answers 20 times 503, then 5 times
// 429. A hanging request is released by Release, by SetFaults, or when the fault's time ends; it is then answered with
// success. refuse has no requests to count: it takes from, for and transport only.
//
// The gRPC equivalents are those of the OTLP specification's tables. There, 429 is RESOURCE_EXHAUSTED, which clients
// retry only when retry_after is given.
//
// Over gRPC, close, reset and ack_lost end a connection with everything on it, and hang_before_read stops all reading
// from it, because requests share a connection.
package otlpsink
