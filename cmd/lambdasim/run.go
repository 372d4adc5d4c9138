// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// runSettings are the flags of `lambdasim run`.
type runSettings struct {
	layer       string
	function    string
	config      string
	env         []string
	payload     string
	invocations int
	gap         time.Duration
	timeout     time.Duration
	memoryMB    int
	jsonFile    string
	freeze      string
	telemetry   string
	logFormat   string
	quiet       bool
	show        bool
	platform    platformSettings
	backend     backendSettings
}

const runLong = `Run a layer and a function together, as AWS Lambda would: start the layer's extensions and the function,
invoke it, answer the caller, freeze every process until the next invocation, and end the environment.

The layer sends to a backend inside the simulator, unless --env OTELCOL_LAMBDA_OTLP_ENDPOINT=… names another one. What
the function sends over OTLP passes a tap on its way to the layer (OTEL_EXPORTER_OTLP_ENDPOINT is set for the function),
so that the end of the run can tell for each item whether it arrived, and how often.

The exit status is 1 when an item is lost or arrives twice, or when an extension breaks a rule of Lambda's.`

const runExample = `  lambdasim run --layer dist/otelcol-lambda-layer-amd64.zip --function ./bootstrap
  lambdasim run --layer build/layer --function ./bootstrap --invocations 200 --gap 20ms --backend-faults 'status=503,first=20'
  lambdasim run --layer build/layer --function ./bootstrap --config ./collector.yaml --env LOG_LEVEL=debug
  lambdasim run --layer build/layer --function ./bootstrap --mode managed-instances --concurrency 8 --invocations 100`

func newRunCommand() *cobra.Command {
	var set runSettings
	cmd := &cobra.Command{
		Use:     "run --layer DIR|ZIP --function PROGRAM [-- ARGUMENT…]",
		Short:   "Run a layer and a function",
		Long:    runLong,
		Example: runExample,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return run(cmd.Context(), set, arguments, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&set.layer, "layer", "", "the layer, a zip or an unpacked folder with extensions/ in it")
	f.StringVar(&set.function, "function", "", "the function's program, which speaks the Runtime API; arguments go behind --")
	f.StringVar(&set.config, "config", "", "the collector's configuration, as OPENTELEMETRY_COLLECTOR_CONFIG_URI")
	// Not a list in one flag: values have commas of their own.
	f.StringArrayVar(&set.env, "env", nil, "a variable of the function's environment, `K=V`; repeatable")
	f.StringVar(&set.payload, "payload", "{}", "the event, as JSON, or @FILE")
	f.IntVar(&set.invocations, "invocations", 5, "how often to invoke")
	f.DurationVar(&set.gap, "gap", 200*time.Millisecond,
		"how long the environment stays frozen between invocations; on Managed Instances, how long each caller waits")
	f.DurationVar(&set.timeout, "timeout", 3*time.Second, "the function's timeout")
	f.IntVar(&set.memoryMB, "memory", 0,
		"the function's memory size in MB; announced, not enforced (default 128, on Managed Instances 2048)")
	f.StringVar(&set.freeze, "freeze", "auto", "how processes are frozen: auto, cgroup, signal, none")
	f.StringVar(&set.telemetry, "telemetry", "supported",
		"how the Telemetry API answers: supported, unsupported (202, as SAM does), refused, failing")
	f.StringVar(&set.logFormat, "log-format", "",
		"the function's log format: Text, JSON (default Text, on Managed Instances JSON)")
	set.platform.register(cmd)
	f.StringVar(&set.backend.faults, "backend-faults", "", "how the backend misbehaves, such as 'status=503,first=20'")
	f.StringVar(&set.backend.httpAddr, "backend-http", "", "where the backend listens for OTLP/HTTP (default: any free port)")
	f.StringVar(&set.backend.grpcAddr, "backend-grpc", "", "where the backend listens for OTLP/gRPC (default: any free port)")
	f.BoolVar(&set.backend.tap, "tap", true, "watch what the function sends over OTLP/HTTP")
	f.StringVar(&set.backend.target, "tap-target", "http://127.0.0.1:4318", "where the layer listens for OTLP/HTTP")
	f.BoolVar(&set.show, "show", false, "print the telemetry that arrived")
	f.BoolVarP(&set.quiet, "quiet", "q", false, "do not print what the processes write")
	f.StringVar(&set.jsonFile, "json", "", "write the whole story to FILE as JSON")
	_ = cmd.MarkFlagRequired("layer")
	_ = cmd.MarkFlagRequired("function")
	return cmd
}

var (
	freezeModes = map[string]lambdasim.FreezeMode{
		"auto": lambdasim.FreezeAuto, "cgroup": lambdasim.FreezeCgroup,
		"signal": lambdasim.FreezeSignal, "none": lambdasim.FreezeNone,
	}
	telemetryModes = map[string]lambdasim.TelemetryMode{
		"supported": lambdasim.TelemetrySupported, "unsupported": lambdasim.TelemetryNotSupported,
		"refused": lambdasim.TelemetryRefused, "failing": lambdasim.TelemetryFailing,
	}
)

func (set runSettings) options(arguments []string) (lambdasim.Options, error) {
	var options lambdasim.Options
	freeze, ok := freezeModes[set.freeze]
	if !ok {
		return options, fmt.Errorf("--freeze %q is unknown: use auto, cgroup, signal or none", set.freeze)
	}
	telemetry, ok := telemetryModes[set.telemetry]
	if !ok {
		return options, fmt.Errorf("--telemetry %q is unknown: use supported, unsupported, refused or failing", set.telemetry)
	}
	if set.invocations < 0 {
		return options, errors.New("--invocations must not be negative")
	}
	program, err := exec.LookPath(set.function)
	if err != nil {
		return options, fmt.Errorf("--function: %w", err)
	}
	env := map[string]string{}
	for _, variable := range set.env {
		key, value, ok := strings.Cut(variable, "=")
		if !ok {
			return options, fmt.Errorf("--env %q is not K=V", variable)
		}
		env[key] = value
	}
	if set.config != "" {
		env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = set.config
	}
	options = lambdasim.Options{
		Function:  append([]string{program}, arguments...),
		Env:       env,
		MemoryMB:  set.memoryMB,
		Timeout:   set.timeout,
		Freeze:    freeze,
		Telemetry: telemetry,
		LogFormat: set.logFormat,
	}
	return options, set.platform.apply(&options)
}

func (set runSettings) event() ([]byte, error) {
	event := []byte(set.payload)
	if file, ok := strings.CutPrefix(set.payload, "@"); ok {
		var err error
		if event, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("--payload: %w", err)
		}
	}
	if !json.Valid(event) {
		return nil, errors.New("--payload is not JSON")
	}
	return event, nil
}

// story is what --json writes.
type story struct {
	Lambda  lambdasim.Report `json:"lambda"`
	Account *account         `json:"account,omitempty"`
	Backend any              `json:"backend,omitempty"`
}

func run(ctx context.Context, set runSettings, arguments []string, out io.Writer) (err error) {
	options, err := set.options(arguments)
	if err != nil {
		return err
	}
	event, err := set.event()
	if err != nil {
		return err
	}
	var b *backend
	if _, elsewhere := options.Env[envEndpoint]; !elsewhere {
		if _, ownSDK := options.Env[envSDKEndpoint]; ownSDK {
			set.backend.tap = false
		}
		if b, err = startBackend(ctx, set.backend); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.close()) }()
		b.environment(options.Env)
	}
	layer, remove, err := openLayer(set.layer)
	if err != nil {
		return err
	}
	defer remove()
	options.LayerDir = layer
	p := newPrinter(out, b)
	if !set.quiet {
		options.Output = p
	}
	environment, err := lambdasim.New(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, environment.Close()) }()

	failed := (&life{environment: environment, event: event, set: set, mode: options.Mode, printer: p}).run(ctx)
	s := story{Lambda: environment.Report()}
	if b != nil {
		a := b.account(s.Lambda)
		s.Account, s.Backend = &a, b.sink.Counts()
		if set.show {
			p.telemetry()
		}
	}
	p.summary(s)
	if set.jsonFile != "" {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the story: %w", err)
		}
		if err := os.WriteFile(set.jsonFile, append(text, '\n'), 0o600); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	return errors.Join(failed, s.verdict())
}

// verdict is an error when the layer lost or repeated something or broke a rule.
func (s story) verdict() error {
	var errs []error
	if s.Account != nil && s.Account.Lost+s.Account.Duplicated > 0 {
		errs = append(errs, fmt.Errorf("%d items lost, %d arrived twice", s.Account.Lost, s.Account.Duplicated))
	}
	if n := len(s.Lambda.Violations); n > 0 {
		errs = append(errs, fmt.Errorf("the extensions broke %d rules of Lambda's", n))
	}
	return errors.Join(errs...)
}
