// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package simulator is empty. It is here because tests of configtls, which nobody runs here, import it, and `go mod tidy`
// looks for it.
package simulator
