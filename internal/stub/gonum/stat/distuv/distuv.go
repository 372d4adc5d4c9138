// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package distuv is empty. A test of one of gRPC's packages imports the original, which `go mod tidy` wants to find.
package distuv
