// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package common names what gopsutil takes from a context.
package common

// EnvKeyType is the type of keys.
type EnvKeyType string

const (
	// EnvKey is the key of an EnvMap in a context.
	EnvKey EnvKeyType = "env"
	// HostProcEnvKey is the key of the folder that stands for /proc.
	HostProcEnvKey EnvKeyType = "HOST_PROC"
)

// EnvMap has values in place of environment variables.
type EnvMap map[EnvKeyType]string
