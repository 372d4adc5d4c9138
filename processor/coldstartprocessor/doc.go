// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package coldstartprocessor puts the span of the environment's Init into the trace of the environment's first
// invocation, so that a slow first request shows what it waited for.
package coldstartprocessor
