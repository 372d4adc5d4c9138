// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package health counts what happens to the layer itself, for whoever makes metrics of it. Components count through the
// lifecycle of the lambda extension; nothing is counted on the path of a healthy span.
package health
