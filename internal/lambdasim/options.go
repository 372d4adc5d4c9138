// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"time"
)

// FreezeMode says how the processes are stopped between invocations.
type FreezeMode int

const (
	// FreezeAuto uses the cgroup freezer where it is writable and signals elsewhere.
	FreezeAuto FreezeMode = iota
	// FreezeCgroup uses the cgroup freezer, version 2 or 1; Init fails where neither is writable.
	FreezeCgroup
	// FreezeSignal uses SIGSTOP and SIGCONT.
	FreezeSignal
	// FreezeNone lets the processes run between invocations.
	FreezeNone
)

// TelemetryMode says how the Telemetry API answers a subscription.
type TelemetryMode int

const (
	// TelemetrySupported accepts subscriptions during Init, as Lambda does.
	TelemetrySupported TelemetryMode = iota
	// TelemetryNotSupported answers 202, as AWS's local emulators do; no event is ever sent.
	TelemetryNotSupported
	// TelemetryRefused answers 403, as Lambda does after Init.
	TelemetryRefused
	// TelemetryFailing answers 500.
	TelemetryFailing
)

// The names of log formats, as in the function's configuration.
const (
	LogFormatText = "Text"
	LogFormatJSON = "JSON"
)

// Options describe the function, its layer and the conditions it runs under. The zero value of every field but
// Function is usable.
type Options struct {
	// LayerDir is the unpacked layer, what Lambda mounts at /opt. Every entry of its `extensions` directory that is
	// not a directory is started as an extension. Empty means no layer.
	LayerDir string
	// Mode says how Lambda provides the environment.
	Mode Mode
	// Concurrency is how many invocations an environment of ModeManagedInstances takes at once; 16 there by default. It
	// is 1 in the other modes.
	Concurrency int
	// TenantID is the tenant whose environment this is; empty for a function without tenant isolation, which
	// ModeProvisionedConcurrency and ModeSnapStart cannot have.
	TenantID string

	// Function is the program that talks to the Runtime API, and its arguments.
	Function []string
	// FunctionDir is the function's working directory and LAMBDA_TASK_ROOT; the program's directory if empty.
	FunctionDir string

	// Env are the customer's variables, given to function and extensions. Credentials may be among them; in
	// ModeSnapStart they are not given as variables, but served as a container's are.
	Env map[string]string
	// FunctionName defaults to "function".
	FunctionName string
	// FunctionVersion defaults to "$LATEST" on demand, and to "1" in the other modes.
	FunctionVersion string
	// Handler is _HANDLER of the function; "bootstrap" by default.
	Handler string
	// Region defaults to "us-east-1".
	Region string
	// AccountID defaults to "123456789012".
	AccountID string

	// AvailabilityZoneID is what the metadata endpoint tells; "use1-az1" by default.
	AvailabilityZoneID string
	// NoMetadata leaves out the metadata endpoint and the variables that tell of it.
	NoMetadata bool

	// MemoryMB is the configured memory in MB; 128 by default, 2048 for ModeManagedInstances. It is announced, not
	// enforced.
	MemoryMB int
	// Timeout is the function's timeout, which bounds the whole Invoke phase; 3 s by default.
	Timeout time.Duration
	// InitTimeout bounds Init; 10 s on demand by default, in the other modes 130 s or Timeout, whichever is longer.
	InitTimeout time.Duration
	// RestoreTimeout bounds the restore of ModeSnapStart; 10 s by default.
	RestoreTimeout time.Duration
	// ShutdownTimeout is the window between the start of Shutdown and the kill of extensions; 2 s by default.
	ShutdownTimeout time.Duration

	// Host is the address the APIs are served on, with a port the kernel chooses; 127.0.0.1 by default.
	Host string
	// Freeze says how processes are stopped between invocations. ModeManagedInstances never stops them: there it is
	// FreezeNone by default, and nothing else is possible.
	Freeze FreezeMode
	// Telemetry says how subscriptions are answered.
	Telemetry TelemetryMode
	// TelemetryFaults say what goes wrong with deliveries.
	TelemetryFaults TelemetryFaults
	// LogFormat is LogFormatText, the default, or LogFormatJSON, which turns lines that are JSON objects into objects.
	// ModeManagedInstances has LogFormatJSON only.
	LogFormat string
	// InitPhase is the phase that the events of Init name in ModeSnapStart: "init", the default, or "snap-start". AWS
	// documents the second without saying when it is used.
	InitPhase string
	// ReportInitDuration has the first report of ModeProvisionedConcurrency tell how long Init took. AWS does not
	// document whether it does.
	ReportInitDuration bool

	// OutOfMemory is the number of the invocation whose function is killed for want of memory when it is about to
	// answer; 0 for none.
	OutOfMemory int

	// RegisterDelay is how long a registration takes.
	RegisterDelay time.Duration
	// SubscribeDelay is how long a subscription to the Telemetry API takes.
	SubscribeDelay time.Duration

	// HoldLimit is how long an extension may hold the environment after the function; longer is a violation. Zero
	// leaves the function's deadline as the only limit.
	HoldLimit time.Duration
	// FirstNextLimit is how long after its start an extension may call next for the first time; longer is a
	// violation. Zero leaves InitTimeout as the only limit.
	FirstNextLimit time.Duration

	// Output receives the lines the processes write, each with the name of its source in front; nil discards them.
	Output io.Writer
	// OnEvent is told every event of the timeline when it happens, one at a time. It must return quickly and must not
	// call methods of the Environment.
	OnEvent func(Record)
}

// maxCustomerEnvironment is the quota "environment variables" of AWS Lambda, for all of them together.
const maxCustomerEnvironment = 4096

var (
	// tenantID is what a header can hold.
	tenantID = regexp.MustCompile(`^[ -~]{0,256}$`)

	envKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`)

	// reservedKeys are the variables AWS Lambda does not let a customer set. Credentials are not among them here,
	// because nobody else could provide them.
	reservedKeys = map[string]string{
		"AWS_REGION":                      "Region",
		"AWS_DEFAULT_REGION":              "Region",
		"AWS_EXECUTION_ENV":               "",
		"AWS_LAMBDA_FUNCTION_NAME":        "FunctionName",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "MemoryMB",
		"AWS_LAMBDA_FUNCTION_VERSION":     "FunctionVersion",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "",
		"AWS_LAMBDA_LOG_STREAM_NAME":      "",
		"AWS_LAMBDA_RUNTIME_API":          "Host",
		"LAMBDA_TASK_ROOT":                "FunctionDir",
		"LAMBDA_RUNTIME_DIR":              "",
		"AWS_LAMBDA_MAX_CONCURRENCY":      "",
		"AWS_LAMBDA_METADATA_API":         "",
		"AWS_LAMBDA_METADATA_TOKEN":       "",
	}
)

// withDefaults fills what was left empty and makes paths absolute.
func (o Options) withDefaults() (Options, error) {
	setString := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	setDuration := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	setString(&o.FunctionName, "function")
	setString(&o.FunctionVersion, o.Mode.version())
	setString(&o.Handler, "bootstrap")
	setString(&o.Region, "us-east-1")
	setString(&o.AccountID, "123456789012")
	setString(&o.Host, "127.0.0.1")
	setString(&o.AvailabilityZoneID, "use1-az1")
	setString(&o.InitPhase, phaseInit)
	setDuration(&o.Timeout, 3*time.Second)
	setDuration(&o.InitTimeout, o.Mode.initTimeout(o.Timeout))
	setDuration(&o.RestoreTimeout, restoreLimit)
	setDuration(&o.ShutdownTimeout, 2*time.Second)
	memoryMB, concurrency, logFormat := defaultMemoryMB, 1, LogFormatText
	if o.Mode == ModeManagedInstances {
		memoryMB, concurrency, logFormat = defaultManagedMemoryMB, defaultConcurrency, LogFormatJSON
		if o.Freeze == FreezeAuto {
			o.Freeze = FreezeNone
		}
	}
	setString(&o.LogFormat, logFormat)
	o.MemoryMB = cmp.Or(o.MemoryMB, memoryMB)
	o.Concurrency = cmp.Or(o.Concurrency, concurrency)
	for _, dir := range []*string{&o.LayerDir, &o.FunctionDir} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return o, err
		}
		*dir = abs
	}
	if len(o.Function) > 0 && filepath.Base(o.Function[0]) != o.Function[0] {
		abs, err := filepath.Abs(o.Function[0])
		if err != nil {
			return o, err
		}
		o.Function = append([]string{abs}, o.Function[1:]...)
	}
	return o, nil
}

// validate expects defaults to be filled in.
func (o Options) validate() error {
	var errs []error
	if len(o.Function) == 0 || o.Function[0] == "" {
		errs = append(errs, errors.New("no function program is given: set Function"))
	}
	if o.MemoryMB < 128 || o.MemoryMB > 10240 {
		errs = append(errs, fmt.Errorf("memory of %d MB is out of range: AWS Lambda has 128 to 10240 MB", o.MemoryMB))
	}
	if o.Timeout < 0 || o.Timeout > 15*time.Minute {
		errs = append(errs, fmt.Errorf("timeout %s is out of range: AWS Lambda has up to 15m", o.Timeout))
	}
	for name, d := range map[string]time.Duration{
		"init timeout": o.InitTimeout, "shutdown timeout": o.ShutdownTimeout, "register delay": o.RegisterDelay,
		"subscribe delay": o.SubscribeDelay, "hold limit": o.HoldLimit, "first next limit": o.FirstNextLimit,
		"restore timeout": o.RestoreTimeout,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s %s is negative", name, d))
		}
	}
	if o.LogFormat != LogFormatText && o.LogFormat != LogFormatJSON {
		errs = append(errs, fmt.Errorf("log format %q is unknown: use %q or %q", o.LogFormat, LogFormatText, LogFormatJSON))
	}
	if o.Freeze < FreezeAuto || o.Freeze > FreezeNone {
		errs = append(errs, fmt.Errorf("freeze mode %d is unknown", o.Freeze))
	}
	if o.Telemetry < TelemetrySupported || o.Telemetry > TelemetryFailing {
		errs = append(errs, fmt.Errorf("telemetry mode %d is unknown", o.Telemetry))
	}
	if net.ParseIP(o.Host) == nil {
		errs = append(errs, fmt.Errorf("host %q is not an IP address", o.Host))
	}
	errs = append(errs, o.TelemetryFaults.validate()...)
	errs = append(errs, o.validateMode()...)
	return errors.Join(append(errs, o.validateEnv()...)...)
}

// validateMode finds what the mode does not go with.
func (o Options) validateMode() []error {
	var errs []error
	if o.Mode < ModeOnDemand || o.Mode > ModeManagedInstances {
		return []error{fmt.Errorf("mode %d is unknown", o.Mode)}
	}
	managed := o.Mode == ModeManagedInstances
	switch {
	case o.Concurrency < 1:
		errs = append(errs, fmt.Errorf("concurrency %d is less than 1", o.Concurrency))
	case o.Concurrency > 1 && !managed:
		errs = append(errs, fmt.Errorf("concurrency %d: only Managed Instances take more than one invocation at once",
			o.Concurrency))
	}
	if managed && o.LogFormat == LogFormatText {
		errs = append(errs, fmt.Errorf("log format %q: Managed Instances have %q only", o.LogFormat, LogFormatJSON))
	}
	if managed && o.Freeze != FreezeNone {
		errs = append(errs, errors.New("freeze mode: Managed Instances are not frozen, use FreezeNone or FreezeAuto"))
	}
	if managed && o.TelemetryFaults.LateInvoke {
		errs = append(errs, errors.New("telemetry fault `late-invoke`: there is no INVOKE on Managed Instances"))
	}
	if o.TenantID != "" && (o.Mode == ModeProvisionedConcurrency || o.Mode == ModeSnapStart) {
		errs = append(errs, fmt.Errorf("tenant isolation does not go with %s", o.Mode.initializationType()))
	}
	if !tenantID.MatchString(o.TenantID) {
		errs = append(errs, fmt.Errorf("tenant id %q: use up to 256 printable ASCII characters", o.TenantID))
	}
	if o.InitPhase != phaseInit && (o.InitPhase != phaseSnapStart || o.Mode != ModeSnapStart) {
		errs = append(errs, fmt.Errorf("init phase %q is unknown: use %q, or %q with SnapStart",
			o.InitPhase, phaseInit, phaseSnapStart))
	}
	if o.OutOfMemory < 0 {
		errs = append(errs, fmt.Errorf("out of memory in invocation %d: they are numbered from 1", o.OutOfMemory))
	}
	return errs
}

func (o Options) validateEnv() []error {
	var errs []error
	size := 0
	for key, value := range o.Env {
		size += len(key) + len(value)
		if !envKey.MatchString(key) {
			errs = append(errs, fmt.Errorf(
				"environment variable %q: AWS Lambda wants a letter first, then letters, digits and underscores, at least two",
				key))
			continue
		}
		option, reserved := reservedKeys[key]
		switch {
		case reserved && option != "":
			errs = append(errs, fmt.Errorf("environment variable %q is set by AWS Lambda: use the option %s", key, option))
		case reserved:
			errs = append(errs, fmt.Errorf("environment variable %q is set by AWS Lambda: leave it out", key))
		}
	}
	if size > maxCustomerEnvironment {
		errs = append(errs, fmt.Errorf("environment variables have %d bytes: AWS Lambda allows %d", size, maxCustomerEnvironment))
	}
	return errs
}

// tellsInitDuration says whether the first report tells how long Init took.
func (o Options) tellsInitDuration() bool {
	return o.Mode == ModeOnDemand || (o.Mode == ModeProvisionedConcurrency && o.ReportInitDuration)
}

func (o Options) memoryBytes() uint64 { return uint64(o.MemoryMB) << 20 } //nolint:gosec // It has been validated.

// functionARN is the unqualified ARN, which callers without a qualifier use.
func (o Options) functionARN() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", o.Region, o.AccountID, o.FunctionName)
}
