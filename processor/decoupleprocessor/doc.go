// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package decoupleprocessor holds a pipeline's data between the function, which is answered as soon as the data is
// queued, and the exporters, which get it when the lambda extension says that data should leave.
package decoupleprocessor
