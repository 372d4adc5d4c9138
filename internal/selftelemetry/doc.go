// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package selftelemetry is what the collector says about itself inside Lambda: JSON lines on stdout, and nothing else.
//
// The collector's own otelconftelemetry links the OpenTelemetry SDK, its exporters and a Prometheus server, which is a
// third of the binary and a listening port in every execution environment. This package implements the same
// telemetry.Factory with a zap core: metrics and traces about the collector are not recorded. Everything a user has
// written under `service::telemetry` is accepted; what has no effect here is named once in a warning, because a
// configuration written for another distribution must never stop a function's telemetry.
//
// Lambda sends stdout and stderr of an extension to CloudWatch Logs and, as records of type `extension`, to whoever
// subscribed to that stream of the Telemetry API, including this very process. Every line therefore carries the field
// MarkerKey, by which the telemetryapi receiver recognizes our own lines and drops them: otherwise a line about a failed
// export would become a record to export, whose failure is a line.
//
// Three defaults differ from the stock collector, all because a line in CloudWatch Logs is billed by the byte: encoding
// is json instead of console, and callers and stack traces are left out unless `disable_caller: false` or
// `disable_stacktrace: false` ask for them. Lines are not sampled unless `sampling` is configured: the sampler's
// counters take about 0.5 MB.
package selftelemetry
