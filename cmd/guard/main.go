// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program guard is the Lambda extension that runs the collector so that no fault of it reaches the function. It is
// `extensions/otelcol-lambda` of the layer, and takes its name from that of its file.
package main

import (
	"os"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard"
	// The guard passes one thing on at a time. With more processors Go's runtime would wake up threads for it that find
	// nothing to do.
	_ "github.com/otelcol-lambda/otelcol-lambda/internal/oneprocessor"
)

// Where OpenTelemetry's SDKs send to unless they are told otherwise. Only of IPv4: the collector's default is no other, and
// a client that finds nobody on ::1 turns to 127.0.0.1.
const (
	otlpGRPC = "127.0.0.1:4317"
	otlpHTTP = "127.0.0.1:4318"
)

func main() { os.Exit(guard.Main(os.Args, os.Environ(), otlpGRPC, otlpHTTP)) }
