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

// ReasonPrefix begins a line of stderr that says in words for the user why the program is about to end. The guard makes
// it part of its own line and passes it on in no other way.
const ReasonPrefix = "otelcol-lambda cannot run: "

// The exit statuses that tell the guard not to try the same again. The numbers are those of sysexits.h for the nearest
// meaning. They go with a reason.
const (
	// ExitMissingComponent says that the configuration names a component that the binary does not have.
	ExitMissingComponent = 69
	// ExitConfigInvalid says that the configuration is wrong.
	ExitConfigInvalid = 78
)
