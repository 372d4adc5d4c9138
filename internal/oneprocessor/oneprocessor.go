// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package oneprocessor has a program run on one processor, from before its packages are initialized.
package oneprocessor

import "runtime"

// Before is how many processors there were. It is here for its initial value, which is computed before any package is
// initialized that needs another: this one needs none but runtime.
//
// A processor of Go's has memory of its own. By the time of main the program may have moved from one to another, and the
// first one's memory is not used again: 0.15 MB, by chance.
var Before = runtime.GOMAXPROCS(1)
