// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"encoding/json"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// Report is everything that happened so far. Durations are in nanoseconds in JSON.
type Report struct {
	FunctionName string `json:"functionName"`
	// InitializationType is AWS_LAMBDA_INITIALIZATION_TYPE of the processes.
	InitializationType string `json:"initializationType"`
	// Concurrency is how many invocations it takes at once.
	Concurrency int `json:"concurrency"`
	// FreezeMode is how processes were frozen: cgroup-v2, cgroup-v1, signal or none; empty before Init.
	FreezeMode string `json:"freezeMode"`
	// Freezes is how often they were, and Frozen for how long in all.
	Freezes int           `json:"freezes"`
	Frozen  time.Duration `json:"frozenNs"`
	// FreezeErrors say which freezes did not work.
	FreezeErrors []string `json:"freezeErrors,omitempty"`
	// Inits are the starts of processes: the Init phase, and one more for each suppressed init.
	Inits []InitReport `json:"inits"`
	// Restores are those of ModeSnapStart: one at most, because there is one environment.
	Restores []RestoreReport `json:"restores,omitempty"`
	// Invocations are in the order of their numbers.
	Invocations []Invocation `json:"invocations"`
	// Shutdowns are the ends of processes: resets, and the end of the environment.
	Shutdowns []ShutdownReport `json:"shutdowns"`
	// Telemetry has an entry for each subscription.
	Telemetry []TelemetryReport `json:"telemetry"`
	// MetadataRequests is how often the metadata endpoint told the availability zone.
	MetadataRequests int `json:"metadataRequests"`
	// Violations are in the order they were noticed.
	Violations []Violation `json:"violations"`
}

// InitReport describes one start of the processes.
type InitReport struct {
	// Generation counts the starts, from 1.
	Generation int `json:"generation"`
	// Phase is "init", or "invoke" for a suppressed init.
	Phase     string        `json:"phase"`
	Start     time.Time     `json:"start"`
	Duration  time.Duration `json:"durationNs"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
	Message   string        `json:"message,omitempty"`
	// Runtime is how long the function's process took from its start to its first next, 0 if it did not get there.
	Runtime    time.Duration   `json:"runtimeNs"`
	Extensions []ExtensionInit `json:"extensions"`
}

// RestoreReport describes how a snapshot came back to life.
type RestoreReport struct {
	// InstanceID is the environment's name from then on.
	InstanceID string        `json:"instanceId"`
	Start      time.Time     `json:"start"`
	Duration   time.Duration `json:"durationNs"`
	// Billed is what Lambda would charge for: the time the runtime took after it had been told.
	Billed    time.Duration `json:"billedNs"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
	Message   string        `json:"message,omitempty"`
}

// ExtensionInit describes the start of one extension.
type ExtensionInit struct {
	Name string `json:"name"`
	// PID is 0 for an extension inside the function's process.
	PID int `json:"pid,omitempty"`
	// State is its state when Init ended, as in platform.extension events.
	State  string   `json:"state"`
	Events []string `json:"events"`
	// Register is the time from the start of the process to its registration, 0 if there was none.
	Register time.Duration `json:"registerNs"`
	// FirstNext is the time from the start of the process to its first next, 0 if there was none.
	FirstNext time.Duration `json:"firstNextNs"`
}

// Invocation describes one invocation.
type Invocation struct {
	RequestID string `json:"requestId"`
	// Number counts the invocations, from 1.
	Number int       `json:"number"`
	Start  time.Time `json:"start"`
	// Cold says that the invocation was the first of its processes, whether its caller waited for them or not.
	Cold bool `json:"cold"`
	// Restored says that the processes were restored from a snapshot for it.
	Restored bool `json:"restored,omitempty"`
	// Payload and Response are what the caller sent and got.
	Payload  []byte `json:"-"`
	Response []byte `json:"-"`
	// Status is the caller's view: success, error (the function reported one), timeout or failure (the environment
	// failed: a crash, a failed init).
	Status string `json:"status"`
	// ErrorType names what went wrong.
	ErrorType string `json:"errorType,omitempty"`
	// Message says what went wrong.
	Message string `json:"message,omitempty"`
	// FunctionDuration is the time from the invocation to its response, without a suppressed init or a restore.
	FunctionDuration time.Duration `json:"functionNs"`

	// Settled says that the phase is over. What follows is known only then.
	Settled bool `json:"settled"`
	// PlatformStatus is the status in platform.report. It differs from Status if an extension exceeded the timeout.
	PlatformStatus string `json:"platformStatus,omitempty"`
	// Duration is that of the whole phase, suppressed init and extensions included.
	Duration time.Duration `json:"durationNs"`
	// Billed is the duration Lambda would charge for, 0 on Managed Instances.
	Billed time.Duration `json:"billedNs"`
	// Held is the time from the runtime's next to the last extension's.
	Held time.Duration `json:"heldNs"`
	// Holds is the same for each extension.
	Holds map[string]time.Duration `json:"holdsNs,omitempty"`
	// MaxMemoryMB is the largest memory use of all processes together up to then, 0 if unknown, as it is on Managed
	// Instances.
	MaxMemoryMB int `json:"maxMemoryMB"`
}

// MarshalJSON renders payload and response as JSON where they are JSON, as text elsewhere.
func (i Invocation) MarshalJSON() ([]byte, error) {
	type plain Invocation
	return json.Marshal(struct {
		plain
		Payload  any `json:"payload"`
		Response any `json:"response"`
	}{plain(i), readable(i.Payload), readable(i.Response)})
}

func readable(body []byte) any {
	if json.Valid(body) {
		return json.RawMessage(body)
	}
	return string(body)
}

// ShutdownReport describes one end of the processes.
type ShutdownReport struct {
	Generation int `json:"generation"`
	// Reason is the shutdownReason: spindown, timeout or failure.
	Reason   string        `json:"reason"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"durationNs"`
	// Extensions are those with a process of their own.
	Extensions []ExtensionExit `json:"extensions"`
}

// ExtensionExit describes the end of one extension process.
type ExtensionExit struct {
	Name string `json:"name"`
	// Status is the process's end in words, such as "exit status 0" or "signal: killed".
	Status string `json:"status"`
	// ExitCode is -1 after a signal.
	ExitCode int `json:"exitCode"`
	// Duration is the time from SHUTDOWN to the end, 0 if the process had ended before.
	Duration time.Duration `json:"durationNs"`
	// Killed says that the process did not end by itself.
	Killed bool `json:"killed"`
	// Crashed says that it had ended before it was asked to.
	Crashed bool `json:"crashed"`
}

// TelemetryReport describes what one subscriber was sent.
type TelemetryReport struct {
	Generation int                   `json:"generation"`
	Extension  string                `json:"extension"`
	Types      []telemetryapi.Stream `json:"types"`
	// Batches is the number of deliveries that were accepted.
	Batches int `json:"batches"`
	// Redelivered is how many of them came twice, which TelemetryFaults ask for.
	Redelivered int `json:"redelivered,omitempty"`
	// Events counts by event type.
	Events map[telemetryapi.EventType]Counts `json:"events"`
	// Function are the texts of the delivered `function` records, in order.
	Function []string `json:"function"`
}

// Counts say what became of events. Generated is the sum of Delivered, Dropped and Pending.
type Counts struct {
	// Generated were meant for the subscriber.
	Generated int `json:"generated"`
	// Delivered were answered with 2xx.
	Delivered int `json:"delivered"`
	// Retried counts the times events were sent again.
	Retried int `json:"retried"`
	// Dropped were given up, or never taken because the buffer was full or TelemetryFaults ask for it.
	Dropped int `json:"dropped"`
	// Pending are still buffered, or were when the subscriber ended.
	Pending int `json:"pending"`
}
