// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package contract is what guard and collector have to agree on. Either works with another program in the other's place,
// which then does without what is said here.
package contract

// The variables that the guard sets for the program it guards.
const (
	// EnvGuard is "1" for a program that runs behind the guard.
	EnvGuard = "OTELCOL_LAMBDA_GUARD"
	// EnvTelemetryFD is the number of an inherited descriptor: a TCP socket that listens on all IPv4 addresses, for the
	// deliveries of the Telemetry API. It outlives the program, so that a restarted one is still delivered to.
	EnvTelemetryFD = "OTELCOL_LAMBDA_TELEMETRY_FD"
)

// EnvInitTimeout is how long Init waits for the collector, a Go duration such as 5s. Users set it.
const EnvInitTimeout = "OTELCOL_LAMBDA_INIT_TIMEOUT"

// The exit statuses that tell the guard not to try the same again. The numbers are those of sysexits.h for the nearest
// meaning. What the program wrote last to stderr is shown to the user.
const (
	// ExitMissingComponent says that the configuration names a component that the binary does not have.
	ExitMissingComponent = 69
	// ExitConfigInvalid says that the configuration is wrong.
	ExitConfigInvalid = 78
)
