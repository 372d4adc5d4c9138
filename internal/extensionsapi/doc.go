// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package extensionsapi is a client of the AWS Lambda Extensions API (version 2020-01-01).
//
// The protocol's order is in the types: Client.Register is the only way to a Session, and only a Session can ask for
// events or report a fatal error.
package extensionsapi
