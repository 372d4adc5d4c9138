// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package batchprocessor is the collector's own batch processor in a wrapper that can empty it at a given moment: when
// a Lambda invocation ends and the environment is about to be frozen.
//
// What the stock processor holds leaves when enough has come together or when its timer fires. Between two invocations
// no timer fires: what was held stays in a frozen environment until somebody invokes the function again, or is lost with
// it. The stock processor has no call to send what it holds, but its Shutdown does so. The wrapper therefore keeps one
// stock processor, and on Drain puts a fresh one in its place and shuts the old one down.
package batchprocessor
