// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	// Where a collector listens by default, and thus every one that is measured.
	otlpGRPC = "127.0.0.1:4317"
	otlpHTTP = "127.0.0.1:4318"

	// memoryMB is a usual size for functions with telemetry. It is announced, not enforced.
	memoryMB = 512
	// timeout leaves room for a machine that is busy.
	timeout = 30 * time.Second
	// pollInterval is the resolution of the time until a collector listens.
	pollInterval = 200 * time.Microsecond
	// releaseTime is how long a port may still be taken after the end of whoever listened there.
	releaseTime = 2 * time.Second

	// event makes the example function create 10 spans and write 2 log lines.
	event         = `{"spans":6}`
	spansPerEvent = 10
)

// observations are samples by the key of their figure.
type observations map[string][]float64

func (o observations) add(key string, value float64) { o[key] = append(o[key], value) }

// rig is what every measurement takes.
type rig struct {
	programs

	sink *otlpsink.Sink
}

// size notes what does not vary.
func (r rig) size(ctx context.Context, s subject, dir string, to observations) error {
	guard, collector := s.files()
	for key, path := range map[string]string{keyGuardFile: guard, keyCollectorFile: collector} {
		if path == "" {
			continue
		}
		size, err := fileSize(path)
		if err != nil {
			return err
		}
		to.add(key, size)
	}
	zip, err := r.zipSize(ctx, s.layer, dir)
	if err != nil {
		return err
	}
	to.add(keyZip, zip)
	return nil
}

// cold takes an environment through Init, with a function that does nothing. The CPU and memory are read right
// afterwards, when the simulator has stopped all processes.
func (r rig) cold(ctx context.Context, s subject, to observations) error {
	return r.with(ctx, s, r.idle, nil, func(e *lambdasim.Environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		x, err := onlyExtension(e)
		if err != nil {
			return err
		}
		pids, err := family(x.PID)
		if err != nil {
			return err
		}
		cpu, err := cpuTime(pids)
		if err != nil {
			return err
		}
		to.add(keyRegister, millis(x.Register))
		to.add(keyFirstNext, millis(x.FirstNext))
		to.add(keyFirstNextCPU, millis(cpu))
		return addMemory(s, pids, prefixReady, to)
	})
}

// listening measures when the collector takes connections. That is not done in cold, because the attempts cost CPU, and
// the one that succeeds costs the collector some.
func (r rig) listening(ctx context.Context, s subject, to observations) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.with(ctx, s, r.idle, nil, func(e *lambdasim.Environment) error {
		polling, stop := context.WithCancel(ctx)
		defer stop()
		connected := make(chan time.Time, 1)
		go func() {
			defer close(connected)
			if at, ok := firstConnect(polling, otlpHTTP); ok {
				connected <- at
			}
		}()
		err := e.Init(ctx)
		stop()
		at, ok := <-connected
		switch {
		case err != nil:
			return err
		case !ok:
			return errors.New("nothing listened on " + otlpHTTP + " when Init was over")
		}
		// Its start was that of the process but for some 0.1 ms.
		to.add(keyListening, millis(at.Sub(e.Report().Inits[0].Start)))
		return nil
	})
}

// firstConnect tries to connect until it succeeds, and returns when it did.
func firstConnect(ctx context.Context, address string) (at time.Time, ok bool) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			at := time.Now()
			conn.Close()
			return at, true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return time.Time{}, false
		}
	}
}

// warm invokes the example function, once to warm everything up and then as often as given.
func (r rig) warm(ctx context.Context, s subject, invocations int, to observations) error {
	env := map[string]string{}
	if !s.collector {
		// Otherwise the function would wait for somebody to listen.
		env["OTEL_EXPORTER_OTLP_ENDPOINT"] = r.sink.HTTPEndpoint()
	}
	before := r.sink.Counts().Spans
	err := r.with(ctx, s, r.function, env, func(e *lambdasim.Environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		if err := r.invoke(ctx, e, invocations, to); err != nil {
			return err
		}
		x, err := onlyExtension(e)
		if err != nil {
			return err
		}
		pids, err := family(x.PID)
		if err != nil {
			return err
		}
		if err := addMemory(s, pids, prefixEnd, to); err != nil {
			return err
		}
		return e.Shutdown(ctx)
	})
	if err != nil {
		return err
	}
	to.add(keyMissing, float64((invocations+1)*spansPerEvent-(r.sink.Counts().Spans-before)))
	return nil
}

// invoke makes the invocations one after the other. Between them all processes are stopped, and the CPU time is read.
func (r rig) invoke(ctx context.Context, e *lambdasim.Environment, invocations int, to observations) error {
	x, err := onlyExtension(e)
	if err != nil {
		return err
	}
	var before time.Duration
	for i := range invocations + 1 {
		if _, err := e.Invoke(ctx, []byte(event)); err != nil {
			return err
		}
		if err := e.Settle(ctx); err != nil {
			return err
		}
		done := e.Report().Invocations[i]
		if done.PlatformStatus != lambdasim.StatusSuccess {
			return fmt.Errorf("invocation %d ended with %s: %s", done.Number, done.PlatformStatus, done.Message)
		}
		pids, err := family(x.PID)
		if err != nil {
			return err
		}
		cpu, err := cpuTime(pids)
		if err != nil {
			return err
		}
		if i > 0 {
			to.add(keyHeld, millis(done.Held))
			to.add(keyInvocationCPU, millis(cpu-before))
		}
		before = cpu
	}
	return nil
}

// with runs do in a new environment, and tells what the processes wrote if that fails.
func (r rig) with(
	ctx context.Context, s subject, function string, env map[string]string, do func(*lambdasim.Environment) error,
) error {
	if s.collector {
		if err := portsFree(ctx); err != nil {
			return err
		}
	}
	all := map[string]string{"OTELCOL_LAMBDA_OTLP_ENDPOINT": r.sink.HTTPEndpoint()}
	maps.Copy(all, env)
	var output bytes.Buffer
	e, err := lambdasim.New(lambdasim.Options{
		LayerDir: s.layer,
		Function: []string{function},
		Env:      all,
		MemoryMB: memoryMB,
		Timeout:  timeout,
		// The same everywhere; starting a process in a cgroup of its own takes longer on some kernels.
		Freeze: lambdasim.FreezeSignal,
		Output: &output,
	})
	if err != nil {
		return err
	}
	if err := errors.Join(do(e), e.Close()); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.name, err, output.Bytes())
	}
	return nil
}

// portsFree waits until the collector's ports can be listened on: the threads of a collector that was killed may have
// them for a moment after the process seems to have ended. When they stay taken, the error says what to do.
func portsFree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	for {
		taken := takenPort(ctx)
		if taken == nil {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the collector needs its default ports: %w\n"+
				"End what listens there, or measure in a network of your own:\n"+
				"  unshare --net --map-root-user sh -c 'ip link set lo up && make bench'", taken)
		}
	}
}

func takenPort(ctx context.Context) error {
	for _, address := range []string{otlpGRPC, otlpHTTP} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// onlyExtension is how the layer's extension came up.
func onlyExtension(e *lambdasim.Environment) (lambdasim.ExtensionInit, error) {
	inits := e.Report().Inits
	if len(inits) != 1 || len(inits[0].Extensions) != 1 {
		return lambdasim.ExtensionInit{}, errors.New("the extension was started again, or is not alone")
	}
	return inits[0].Extensions[0], nil
}

// addMemory reads the memory of an extension's processes, the one that Lambda started first.
func addMemory(s subject, pids []int, prefix string, to observations) error {
	var guard, collector memory
	for i, pid := range pids {
		m, err := memoryOf(pid)
		if err != nil {
			return err
		}
		if i == 0 && (len(pids) > 1 || !s.collector) {
			guard = m
		} else {
			collector = collector.plus(m)
		}
	}
	to.add(prefix+processAll+suffixAnonymous, guard.plus(collector).rssAnon)
	for process, m := range map[string]memory{processGuard: guard, processCollector: collector} {
		if m == (memory{}) {
			continue
		}
		to.add(prefix+process+suffixAnonymous, m.rssAnon)
		to.add(prefix+process+suffixFile, m.rssFile)
		to.add(prefix+process+suffixPeak, m.vmHWM)
	}
	return nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
