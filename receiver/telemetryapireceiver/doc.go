// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package telemetryapireceiver turns the events of the AWS Lambda Telemetry API into logs: the lines of the function
// and of extensions, and what the platform says about the environment and its invocations.
package telemetryapireceiver
