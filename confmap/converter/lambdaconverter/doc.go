// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package lambdaconverter makes any collector configuration safe to run in AWS Lambda, where the process is frozen
// between invocations and killed about two seconds after it is told to stop.
//
// It adds what has to be there (the lambda extension, a decouple processor at the end of each pipeline), switches off
// what loses data in a freeze unless the user has set it (the exporters' queues and retries, which keep data that nobody
// outside the exporter knows of), sizes memory limiters for the function, and takes exporters out that could not start.
// Each change is logged at debug, and what a user should know or do at warn. A configuration that has been converted is
// not changed by another conversion. Shapes that make no sense are left to the collector's own validation, which has
// the better error messages.
package lambdaconverter
