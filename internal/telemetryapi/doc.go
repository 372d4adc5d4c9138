// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package telemetryapi speaks the AWS Lambda Telemetry API: it subscribes, takes what Lambda delivers, and reads it
// into events. It is lenient throughout, because the platform adds events and fields as it likes, and because a
// delivery that is refused comes back.
package telemetryapi
