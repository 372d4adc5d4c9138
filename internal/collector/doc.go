// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package collector runs one OpenTelemetry Collector in this process: it resolves a configuration, builds and starts what
// it describes, and ends it.
//
// It is otelcol.Collector without what every cold start would pay for and nobody in Lambda uses: the snapshots of the
// configuration for extensions that want to see it (a quarter of the CPU of a start), the replay of early log lines, and
// reloading. A new configuration comes with a new environment.
package collector
