// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package lambdasim is AWS Lambda for one execution environment, on the machine it runs on.
//
// Given an unpacked layer and a function program it serves the Extensions, Runtime and Telemetry APIs on one listener,
// starts both as real processes, takes them through Init, Invoke and Shutdown with Lambda's time limits, and freezes
// them in between, as Lambda does. It says afterwards what happened and names what an extension did wrong. Options.Mode
// has it play provisioned concurrency, SnapStart or Managed Instances in place of an environment on demand.
//
// It follows the documentation of AWS Lambda, and where that is silent the behaviour of AWS's Runtime Interface
// Emulator. It needs no privileges: without a writable cgroup it freezes with signals.
//
// The package works on Unix systems. Only on Linux are processes that leave their process group found and frozen, and
// only there does the kernel end the processes when the simulator itself is killed.
package lambdasim
