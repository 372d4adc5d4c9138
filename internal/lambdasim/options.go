// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
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
	// Function is the program that talks to the Runtime API, and its arguments.
	Function []string
	// FunctionDir is the function's working directory and LAMBDA_TASK_ROOT; the program's directory if empty.
	FunctionDir string

	// Env are the customer's variables, given to function and extensions.
	Env map[string]string
	// FunctionName defaults to "function".
	FunctionName string
	// FunctionVersion defaults to "$LATEST".
	FunctionVersion string
	// Handler is _HANDLER of the function; "bootstrap" by default.
	Handler string
	// Region defaults to "us-east-1".
	Region string
	// AccountID defaults to "123456789012".
	AccountID string

	// MemoryMB is the configured memory in MB; 128 by default. It is announced, not enforced.
	MemoryMB int
	// Timeout is the function's timeout, which bounds the whole Invoke phase; 3 s by default.
	Timeout time.Duration
	// InitTimeout bounds Init; 10 s by default.
	InitTimeout time.Duration
	// ShutdownTimeout is the window between the start of Shutdown and the kill of extensions; 2 s by default.
	ShutdownTimeout time.Duration

	// Host is the address the APIs are served on, with a port the kernel chooses; 127.0.0.1 by default.
	Host string
	// Freeze says how processes are stopped between invocations.
	Freeze FreezeMode
	// Telemetry says how subscriptions are answered.
	Telemetry TelemetryMode
	// LogFormat is LogFormatText, the default, or LogFormatJSON, which turns lines that are JSON objects into objects.
	LogFormat string

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
	setString(&o.FunctionVersion, "$LATEST")
	setString(&o.Handler, "bootstrap")
	setString(&o.Region, "us-east-1")
	setString(&o.AccountID, "123456789012")
	setString(&o.Host, "127.0.0.1")
	setString(&o.LogFormat, LogFormatText)
	setDuration(&o.Timeout, 3*time.Second)
	setDuration(&o.InitTimeout, 10*time.Second)
	setDuration(&o.ShutdownTimeout, 2*time.Second)
	if o.MemoryMB == 0 {
		o.MemoryMB = 128
	}
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
	return errors.Join(append(errs, o.validateEnv()...)...)
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

// functionARN is the unqualified ARN, which callers without a qualifier use.
func (o Options) functionARN() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", o.Region, o.AccountID, o.FunctionName)
}
