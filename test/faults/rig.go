// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
	"github.com/otelcol-lambda/otelcol-lambda/test/faults/faultyextension"
)

const (
	// timeout is the function's, short so that a collector that hangs reaches the bound soon.
	timeout = 3 * time.Second
	// initTimeout is how long the guard waits for a collector that hangs in Init, again to be quick.
	initTimeout = 2 * time.Second
	memoryMB    = 512

	// slowFunction is how long the function takes to initialise where something is to happen before Init ends, and
	// afterReady how long after the collector has got ready. Lambda has sent its first events by then.
	slowFunction = 1500 * time.Millisecond
	afterReady   = 200 * time.Millisecond
)

// config is the layer's default configuration with ports of the cell's own and the faulty extension.
const config = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:@GRPC@"}
      http: {endpoint: "127.0.0.1:@HTTP@"}
  telemetryapi:
    types: [platform, function]
processors:
  memory_limiter:
  batch:
  decouple:
exporters:
  otlp_http:
    endpoint: ${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}
extensions:
  lambda:
  faulty:
service:
  extensions: [lambda, faulty]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    metrics: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    logs: {receivers: [otlp, telemetryapi], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
`

// rig is what one cell runs: layer and function in the simulator, a tap between them, and a backend.
type rig struct {
	cell
	dir      string // of the trace
	httpPort string
	sink     *otlpsink.Sink
	tap      *otlpsink.Tap
	env      *lambdasim.Environment
	log      *transcript
	memory   *memoryGroup
	thief    thief

	// working is where the rig is told that the function works on the invocation that the fault is for; see hook.
	working chan struct{}

	mu sync.Mutex
	// struck is when the fault was made from here.
	struck time.Time
	// running is the request id of the latest invocation, lines how many the function wrote in each.
	running string
	lines   map[string]int
	errs    []error
}

// transcript collects what the processes write.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// ports are for the layer. Those of all cells differ.
type ports struct {
	mu    sync.Mutex
	given map[string]bool
}

// These are below the ports that the kernel gives to outgoing connections: one of those could take a port between the
// moment it was found to be free and the moment the layer listens on it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// free returns a port that nobody listens on.
func (p *ports) free(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort))
		if p.given[port] {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", ":"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		p.given[port] = true
		return port, l.Close()
	}
}

// newRig prepares a cell. The rig has to be closed, even after an error.
func newRig(ctx context.Context, c cell, p programs, free *ports, dir string) (*rig, error) {
	r := &rig{cell: c, dir: dir, log: &transcript{}, working: make(chan struct{}, 1), lines: map[string]int{}}
	grpcPort, err := free.free(ctx)
	if err != nil {
		return r, err
	}
	if r.httpPort, err = free.free(ctx); err != nil {
		return r, err
	}
	r.sink = otlpsink.New(otlpsink.Options{GRPCAddr: otlpsink.AddrNone})
	r.tap = otlpsink.NewTap(otlpsink.TapOptions{Target: "http://127.0.0.1:" + r.httpPort})
	if err := errors.Join(r.sink.Start(ctx), r.tap.Start(ctx)); err != nil {
		return r, err
	}
	uri := filepath.Join(dir, "config.yaml")
	text := strings.NewReplacer("@GRPC@", grpcPort, "@HTTP@", r.httpPort).Replace(config)
	if err := os.WriteFile(uri, []byte(text), 0o600); err != nil {
		return r, err
	}
	opts := lambdasim.Options{
		LayerDir: p.layer,
		Function: []string{p.function},
		MemoryMB: memoryMB,
		Timeout:  timeout,
		Output:   r.log,
		OnEvent:  r.hook,
		Env: map[string]string{
			"OTELCOL_LAMBDA_OTLP_ENDPOINT":       otlpsink.Remote(r.sink.HTTPEndpoint()),
			"OPENTELEMETRY_COLLECTOR_CONFIG_URI": uri,
			"OTEL_EXPORTER_OTLP_ENDPOINT":        r.tap.Endpoint(),
			contract.EnvInitTimeout:              initTimeout.String(),
			faultyextension.EnvDir:               dir,
			faultyextension.EnvFault:             string(c.fault.name),
			faultyextension.EnvMoment:            string(c.moment),
		},
	}
	if c.fault.name == faultyextension.DiskFull {
		// The one that is small, not the one that the simulator gives each environment.
		opts.Env["TMPDIR"] = "/tmp"
	}
	if c.moment == faultyextension.InitNext {
		// The collector is ready long before the function, so that the fault happens in Init and not after it.
		opts.FunctionDir = filepath.Dir(p.function)
		opts.Function = []string{
			"/bin/sh", "-c", fmt.Sprintf(`sleep %g; exec "$0"`, slowFunction.Seconds()), p.function,
		}
	}
	if err := r.prepareFault(ctx, p, &opts); err != nil {
		return r, err
	}
	r.env, err = lambdasim.New(opts)
	return r, err
}

// close ends everything that the cell has started.
func (r *rig) close() error {
	var errs []error
	if r.env != nil {
		errs = append(errs, r.env.Close())
	}
	if r.tap != nil {
		errs = append(errs, r.tap.Close())
	}
	if r.sink != nil {
		errs = append(errs, r.sink.Close())
	}
	r.thief.close()
	if r.memory != nil {
		errs = append(errs, r.memory.close())
	}
	return errors.Join(errs...)
}

// hook follows the simulator's events. It is called while the simulator can do nothing else.
func (r *rig) hook(e lambdasim.Record) {
	switch e.Type {
	case telemetryapi.EventExtension:
		// The guard asks for an event as soon as the collector has done so.
		if r.moment == faultyextension.InitNext && strings.Contains(string(e.Record), `"state":"Ready"`) {
			time.AfterFunc(afterReady, func() { r.note(r.strike(context.Background())) })
		}
	case telemetryapi.EventStart:
		var start struct {
			RequestID string `json:"requestId"`
		}
		r.note(json.Unmarshal(e.Record, &start))
		r.mu.Lock()
		r.running = start.RequestID
		r.mu.Unlock()
	case telemetryapi.EventFunction:
		r.mu.Lock()
		r.lines[r.running]++
		r.mu.Unlock()
		if strings.Contains(string(e.Record), "order received") {
			select {
			case r.working <- struct{}{}:
			default:
			}
		}
	}
}

// note keeps an error for the cell's end.
func (r *rig) note(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// trace is what the collectors have written about themselves.
func (r *rig) trace() []faultyextension.Entry {
	entries, err := faultyextension.ReadTrace(r.dir)
	r.note(err)
	return entries
}

// first returns the first entry of a kind, for the process if it is not 0.
func first(entries []faultyextension.Entry, what faultyextension.What, pid int) (faultyextension.Entry, bool) {
	for _, e := range entries {
		if e.What == what && (pid == 0 || e.PID == pid) {
			return e, true
		}
	}
	return faultyextension.Entry{}, false
}

// collectors are the processes that have been started.
func collectors(entries []faultyextension.Entry) (pids []int) {
	for _, e := range entries {
		if e.What == faultyextension.Started {
			pids = append(pids, e.PID)
		}
	}
	return pids
}
