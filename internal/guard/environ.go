// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"strconv"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// The variables of AWS Lambda, of Go and of the layer that matter here.
const (
	envRuntimeAPI     = "AWS_LAMBDA_RUNTIME_API"
	envInitType       = "AWS_LAMBDA_INITIALIZATION_TYPE"
	envMemorySize     = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
	managedInstances  = "lambda-managed-instances"
	envGoMemoryLimit  = "GOMEMLIMIT"
	envGoMaxProcs     = "GOMAXPROCS"
	envLogLevel       = "OPENTELEMETRY_EXTENSION_LOG_LEVEL"
	oneProcessorMB    = 1769 // AWS Lambda: the memory size that comes with one vCPU
	memoryPercent     = 40
	minMemoryLimitMiB = 32
	maxMemoryMB       = 1<<31 - 1 // more is no memory size, and Go ends a program whose limit it cannot count in bytes
)

// defaultInitTimeout is half of what Lambda allows for Init, so that the function's own half remains even if the two
// did not run at the same time.
const defaultInitTimeout = 5 * time.Second

// telemetryDescriptor is what the collector finds the telemetry listener as: the first descriptor after stderr.
const telemetryDescriptor = 3

// lookup returns the value of a variable. Of several the first counts, as in the C library and in Go.
func lookup(environ []string, key string) (value string, ok bool) {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v, true
		}
	}
	return "", false
}

// initTimeout returns the bound on Init, and a warning when the user's is none.
func initTimeout(environ []string) (timeout time.Duration, warning string) {
	text, _ := lookup(environ, contract.EnvInitTimeout)
	if text == "" {
		return defaultInitTimeout, ""
	}
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout <= 0 {
		return defaultInitTimeout, contract.EnvInitTimeout + " must be a positive duration such as 5s; it is taken for 5s"
	}
	return timeout, ""
}

// collectorEnviron is the environment of the collector: ours, each variable once, with a runtimeAPI of its own.
// Telemetry says that descriptor 3 is a listener.
func collectorEnviron(environ []string, runtimeAPI string, telemetry bool) []string {
	set := []string{envRuntimeAPI + "=" + runtimeAPI, contract.EnvGuard + "=1"}
	if telemetry {
		set = append(set, contract.EnvTelemetryFD+"="+strconv.Itoa(telemetryDescriptor))
	}
	set = append(set, tuning(environ)...)

	list := make([]string, 0, len(environ)+len(set))
	seen := make(map[string]bool, len(environ)+len(set))
	seen[contract.EnvTelemetryFD] = !telemetry // a descriptor that is not there must not be named
	for _, from := range [][]string{set, environ} {
		for _, kv := range from {
			key, _, ok := strings.Cut(kv, "=")
			if !ok || seen[key] {
				continue
			}
			seen[key] = true
			list = append(list, kv)
		}
	}
	return list
}

// tuning derives limits of Go's runtime from the function's memory size, where the user has not set any. Other runtimes
// do not know the variables.
//
// The memory limit is a soft one: near it the garbage collector works more often. 40 % of the memory is several times
// what the collector needs, and leaves the larger part to the function before the kernel has to kill anything. A
// function with less than one CPU gets its share in slices of time; more than one processor then only adds switching
// and, in Go, work of the idle ones.
func tuning(environ []string) (set []string) {
	text, _ := lookup(environ, envMemorySize)
	megabytes := parseWhole(text)
	if megabytes == 0 || megabytes > maxMemoryMB {
		return set
	}
	if limit, _ := lookup(environ, envGoMemoryLimit); limit == "" {
		limit := max(minMemoryLimitMiB, megabytes*memoryPercent/100)
		set = append(set, envGoMemoryLimit+"="+strconv.FormatInt(limit, 10)+"MiB")
	}
	if procs, _ := lookup(environ, envGoMaxProcs); procs == "" && megabytes < oneProcessorMB {
		set = append(set, envGoMaxProcs+"=1")
	}
	return set
}

// timerSlack is by how many nanoseconds the kernel may delay what waits for a time in a collector with such an environment.
//
// Go watches over a program that does anything by looking at it every 20 µs and then less and less often, and each look costs
// CPU: with this it looks when it has something to see. The only timer of the collector that is shorter, or minds, has
// the kernel wake it. With several processors Go sleeps for microseconds too while one of them takes over another's work.
func timerSlack(environ []string) uintptr {
	if procs, _ := lookup(environ, envGoMaxProcs); procs == "1" {
		return uintptr(4 * time.Millisecond)
	}
	return 0
}
