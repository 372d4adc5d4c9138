// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package lambdaextension makes a collector an AWS Lambda extension: it registers, subscribes to the Telemetry API once
// for everybody, follows the invocations, and has the pipelines deliver what they hold before Lambda freezes or ends
// the environment. Other components reach it as a Lifecycle.
package lambdaextension
