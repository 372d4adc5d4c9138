// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package differential compares the stand-in for json-iterator with the original. It is a module of its own, because the
// original has to be linked under another name.
package differential
