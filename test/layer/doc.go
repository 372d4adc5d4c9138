// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package layer tests the built layer as a whole: the collector's process and a real function's, in the simulator,
// against a backend that records what arrives.
package layer
