// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program guard is the Lambda extension that runs the collector so that no fault of it reaches the function. It is
// `extensions/otelcol-lambda` of the layer, and takes its name from that of its file.
package main

import (
	"os"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard"
)

func main() { os.Exit(guard.Main(os.Args, os.Environ())) }
