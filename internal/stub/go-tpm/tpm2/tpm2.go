// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package tpm2 is empty, like package simulator, and for the same reason.
package tpm2
