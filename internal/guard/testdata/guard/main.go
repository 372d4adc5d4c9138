// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Program guard is that of cmd/guard without ports that everybody knows: many of it run at a time in the tests, beside
// tests whose collectors need these ports.
package main

import (
	"os"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard"
)

func main() { os.Exit(guard.Main(os.Args, os.Environ())) }
