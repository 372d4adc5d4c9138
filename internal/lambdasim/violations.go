// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"sync"
	"time"
)

// ViolationKind names a thing an extension did that Lambda forbids, or that hurts the function.
type ViolationKind string

// The kinds of violations.
const (
	// ViolationOverHold is an extension that held the environment after the function for longer than HoldLimit.
	ViolationOverHold ViolationKind = "over-hold"
	// ViolationPastDeadline is an extension that had not called next when the function's timeout was over.
	ViolationPastDeadline ViolationKind = "past-deadline"
	// ViolationCrash is an extension process that ended, with any status, although nobody asked it to.
	ViolationCrash ViolationKind = "crash"
	// ViolationReportedError is an extension that called init/error or exit/error, which fails the environment.
	ViolationReportedError ViolationKind = "reported-error"
	// ViolationLaunch is an entry of the extensions directory that could not be started.
	ViolationLaunch ViolationKind = "launch-error"
	// ViolationNeverRegistered is an extension that had not registered when Init's time was over.
	ViolationNeverRegistered ViolationKind = "never-registered"
	// ViolationWrongName is a registration, before the function's runtime started, under a name that no file has.
	ViolationWrongName ViolationKind = "wrong-name"
	// ViolationInvokeRegistered is a registration for INVOKE on Managed Instances, which fails Init.
	ViolationInvokeRegistered ViolationKind = "invoke-registered"
	// ViolationSecondRegister is an extension that registered twice.
	ViolationSecondRegister ViolationKind = "second-register"
	// ViolationLateFirstNext is an extension whose first next came after FirstNextLimit, or not within Init.
	ViolationLateFirstNext ViolationKind = "late-first-next"
	// ViolationSecondNext is a next while another one of the same extension was pending.
	ViolationSecondNext ViolationKind = "second-next"
	// ViolationLateSubscription is a subscription to the Telemetry API after Init.
	ViolationLateSubscription ViolationKind = "late-subscription"
	// ViolationSecondSubscription is a second subscription of one extension.
	ViolationSecondSubscription ViolationKind = "second-subscription"
	// ViolationListenerRefused is a subscriber that did not accept or did not finish a delivery.
	ViolationListenerRefused ViolationKind = "listener-refused"
	// ViolationListenerStatus is a subscriber that answered a delivery with something else than 2xx.
	ViolationListenerStatus ViolationKind = "listener-status"
	// ViolationIgnoredShutdown is an extension that was still running when the shutdown window was over.
	ViolationIgnoredShutdown ViolationKind = "ignored-shutdown"
	// ViolationExitStatus is an extension that ended at shutdown with a status other than 0.
	ViolationExitStatus ViolationKind = "exit-status"
)

// Violation is one thing an extension did wrong.
type Violation struct {
	Kind      ViolationKind `json:"kind"`
	Extension string        `json:"extension"`
	// Invocation is the number of the invocation it happened in, 0 outside invocations.
	Invocation int       `json:"invocation,omitempty"`
	Time       time.Time `json:"time"`
	Detail     string    `json:"detail"`
}

// violations collects them. Its lock is taken last, so it can be used with any other held.
type violations struct {
	mu     sync.Mutex
	list   []Violation
	notify func(Violation)
}

func (v *violations) add(kind ViolationKind, extension string, invocation int, detail string) {
	violation := Violation{Kind: kind, Extension: extension, Invocation: invocation, Time: time.Now(), Detail: detail}
	v.mu.Lock()
	v.list = append(v.list, violation)
	v.mu.Unlock()
	v.notify(violation)
}

func (v *violations) snapshot() []Violation {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Violation{}, v.list...)
}
