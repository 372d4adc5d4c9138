// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import "time"

// Mode says how Lambda provides the environment.
type Mode int

const (
	// ModeOnDemand makes the environment for an invocation, or shortly ahead of one.
	ModeOnDemand Mode = iota
	// ModeProvisionedConcurrency has the environment initialised long ahead of invocations, and frozen until the first.
	ModeProvisionedConcurrency
	// ModeSnapStart initialises when the version is published, and restores what was frozen then for the first
	// invocation. A process cannot be copied here, so an environment that is reset has no snapshot to go back to: it is
	// initialised again, with the next invocation.
	ModeSnapStart
	// ModeManagedInstances has one environment serve several invocations at once, and never freezes it. A crash ends
	// it.
	ModeManagedInstances
)

// The initialization types, as in AWS_LAMBDA_INITIALIZATION_TYPE and in events.
const (
	initTypeOnDemand         = "on-demand"
	initTypeProvisioned      = "provisioned-concurrency"
	initTypeSnapStart        = "snap-start"
	initTypeManagedInstances = "lambda-managed-instances"
)

const (
	// onDemandInit bounds Init on demand, and aheadInit Init in all other modes, where a longer timeout of the function
	// counts as well.
	onDemandInit = 10 * time.Second
	aheadInit    = 130 * time.Second

	// restoreLimit bounds a restore.
	restoreLimit = 10 * time.Second
)

// What an environment has if nobody asks for more. AWS's examples of Managed Instances have this memory; the concurrency
// is ours.
const (
	defaultMemoryMB        = 128
	defaultManagedMemoryMB = 2048
	defaultConcurrency     = 16
)

func (m Mode) initializationType() string {
	switch m {
	case ModeProvisionedConcurrency:
		return initTypeProvisioned
	case ModeSnapStart:
		return initTypeSnapStart
	case ModeManagedInstances:
		return initTypeManagedInstances
	}
	return initTypeOnDemand
}

func (m Mode) initTimeout(function time.Duration) time.Duration {
	if m == ModeOnDemand {
		return onDemandInit
	}
	return max(aheadInit, function)
}

// version is what a function has at least to be provided so: only published versions are provided ahead.
func (m Mode) version() string {
	if m == ModeOnDemand {
		return "$LATEST"
	}
	return "1"
}

// frozenAfterInit says that there is always a freeze between Init and the first invocation.
func (m Mode) frozenAfterInit() bool { return m == ModeProvisionedConcurrency || m == ModeSnapStart }
