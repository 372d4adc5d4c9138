// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package guard

const raceEnabled = true
