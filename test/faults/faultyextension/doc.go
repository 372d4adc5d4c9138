// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package faultyextension is a collector component that breaks the process it runs in, for test/faults. No distribution
// has it: test/faults adds it to a collector that it builds with `go build -overlay`.
//
// Environment variables say what it does and when. It writes into a file what it has done, which is how test/faults
// counts starts and knows that a fault has happened.
package faultyextension
