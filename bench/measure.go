// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/flush"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	// Where a collector listens by default, and thus every one that is measured.
	otlpGRPC = "127.0.0.1:4317"
	otlpHTTP = "127.0.0.1:4318"

	// timeout leaves room for a machine that is busy.
	timeout = 30 * time.Second
	// initTimeout is Lambda's, with the same room. A share of the CPU makes the first attempt long.
	initTimeout = 30 * time.Second
	// pollInterval is the resolution of the time until a collector listens.
	pollInterval = 200 * time.Microsecond
	// releaseTime is how long a port may still be taken after the end of whoever listened there.
	releaseTime = 2 * time.Second

	// event makes the example function create 10 spans and write 2 log lines.
	event         = `{"spans":6}`
	spansPerEvent = 10
)

// How a function is invoked frequently: faster than once in a second, with an interval that is shorter than the default
// one by as much.
const (
	// frequentShare is how many invocations share a delivery.
	frequentShare = int(flush.DefaultInterval / time.Second)
	// frequentInvocations are those that count, of four deliveries.
	frequentInvocations = 4 * frequentShare
	// frequentGap is from the start of one invocation to that of the next: longer than they take with all the CPU.
	frequentGap = 25 * time.Millisecond
	// frequentInterval ends in the middle between two invocations, since they are never quite on time.
	frequentInterval = time.Duration(frequentShare)*frequentGap - frequentGap/2
)

// observations are samples by the key of their figure.
type observations map[string][]float64

func (o observations) add(key string, value float64) { o[key] = append(o[key], value) }

// rig is what every measurement takes.
type rig struct {
	programs

	sink *otlpsink.Sink
	// dir is for what environments leave.
	dir string
	// condition is what they get of the machine, limiter how.
	condition condition
	limiter   limiter
}

// size notes what does not vary.
func (r rig) size(ctx context.Context, s subject, to observations) error {
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
	files, err := layerFiles(s.layer)
	if err != nil {
		return err
	}
	unzipped := 0.0
	for _, file := range files {
		size, err := fileSize(file)
		if err != nil {
			return err
		}
		unzipped += size
	}
	to.add(keyUnzipped, unzipped)
	zip, err := r.zipSize(ctx, s.layer, r.dir)
	if err != nil {
		return err
	}
	to.add(keyZip, zip)
	return nil
}

// packageInit traces the initialisation of the programs.
func packageInit(ctx context.Context, s subject, to observations) error {
	guard, collector := s.files()
	for process, path := range map[string]string{processGuard: guard, processCollector: collector} {
		if path == "" {
			continue
		}
		i, err := traceInit(ctx, path)
		if err != nil {
			return err
		}
		to.add(process+suffixInit, i.clock)
		to.add(process+suffixInitPackages, float64(i.packages))
		to.add(process+suffixInitBytes, i.bytes)
		to.add(process+suffixInitAllocs, i.allocs)
	}
	return nil
}

// cold takes an environment through Init, with a function that does nothing, and has the machine to itself: even that
// function takes as much CPU to start as the smallest extension. The CPU and memory are read right afterwards, when the
// simulator has stopped all processes.
func (r rig) cold(ctx context.Context, s subject, prefix string, to observations) error {
	return r.with(ctx, s, plan{function: r.idle, apart: true}, func(e *environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		seen, err := e.look()
		if err != nil {
			return err
		}
		to.add(prefix+keyRegister, millis(seen.register))
		to.add(prefix+keyFirstNext, millis(seen.firstNext))
		to.add(prefix+keyFirstNextCPU, millis(seen.cpu))
		to.add(prefix+keyMinorFaults, seen.minor)
		to.add(prefix+keyMajorFaults, seen.major)
		if prefix != "" {
			return nil
		}
		return addMemory(s, seen.pids, prefixReady, to)
	})
}

// beside is cold for a share of the CPU of which the function takes what it needs to start.
func (r rig) beside(ctx context.Context, s subject, to observations) error {
	return r.with(ctx, s, plan{function: r.idle}, func(e *environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		seen, err := e.look()
		if err != nil {
			return err
		}
		to.add(keyFirstNextBeside, millis(seen.firstNext))
		return nil
	})
}

// uncached is cold with programs that have to be read. What it leaves in the page cache is what it touched; afterwards
// everything is there again.
func (r rig) uncached(ctx context.Context, s subject, to observations) error {
	if err := evict(ctx, s.layer); err != nil {
		return err
	}
	if err := r.cold(ctx, s, prefixUncached, to); err != nil {
		return err
	}
	return prefetch(s.layer)
}

// first takes an environment to the end of its first invocation.
func (r rig) first(ctx context.Context, s subject, to observations) error {
	return r.with(ctx, s, r.sending(s), func(e *environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		done, err := e.invoke(ctx, event)
		if err != nil {
			return err
		}
		seen, err := e.look()
		if err != nil {
			return err
		}
		to.add(keyFirstCPU, millis(seen.cpu))
		to.add(keyFirstHeld, millis(done.Held))
		return e.Shutdown(ctx)
	})
}

// listening measures when the collector takes connections. That is not done in cold, because the attempts cost CPU, and
// the one that succeeds costs the collector some.
func (r rig) listening(ctx context.Context, s subject, to observations) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.with(ctx, s, plan{function: r.idle, apart: true}, func(e *environment) error {
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
		began, err := e.ahead()
		if err != nil {
			return err
		}
		to.add(keyListening, millis(at.Sub(began.at)))
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

// sending is the plan with the function that sends telemetry.
func (r rig) sending(s subject) plan {
	// The budgets are for spans and log lines. The function would send the lines over OTLP as well, and metrics.
	p := plan{function: r.function, env: map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}}
	if !s.collector {
		// Otherwise the function would wait for somebody to listen.
		p.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = r.sink.HTTPEndpoint()
	}
	return p
}

// warm invokes the example function, once to warm everything up and then as often as given.
func (r rig) warm(ctx context.Context, s subject, invocations int, to observations) error {
	before := r.functionSpans()
	err := r.with(ctx, s, r.sending(s), func(e *environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		// Between invocations all processes are stopped.
		var used time.Duration
		cpu := make([]time.Duration, 0, invocations)
		for i := range invocations + 1 {
			done, err := e.invoke(ctx, event)
			if err != nil {
				return err
			}
			seen, err := e.look()
			if err != nil {
				return err
			}
			if i > 0 {
				to.add(keyHeld, millis(done.Held))
				cpu = append(cpu, seen.cpu-used)
			}
			used = seen.cpu
		}
		seen, err := e.look()
		if err != nil {
			return err
		}
		if err := addMemory(s, seen.pids, prefixEnd, to); err != nil {
			return err
		}
		stopping, err := stoppingCost(seen.pids)
		if err != nil {
			return err
		}
		to.add(keyStopping, millis(stopping))
		for _, cpu := range cpu {
			to.add(keyInvocationCPU, millis(cpu-stopping))
		}
		return e.Shutdown(ctx)
	})
	if err != nil {
		return err
	}
	to.add(keyMissing, float64((invocations+1)*spansPerEvent-(r.functionSpans()-before)))
	return nil
}

// frequent is for a function for which adaptive does what periodic does: data leaves once in an interval, while a handler
// runs. One invocation in some pays for that, so what counts is their mean. The first ones do not count, so that each
// delivery that does is of as many invocations as all later ones would be.
func (r rig) frequent(ctx context.Context, s subject, to observations) error {
	p := r.sending(s)
	p.env["OTELCOL_LAMBDA_FLUSH_STRATEGY"] = string(flush.Periodic)
	p.env["OTELCOL_LAMBDA_FLUSH_INTERVAL"] = frequentInterval.String()
	before := r.functionSpans()
	err := r.with(ctx, s, p, func(e *environment) error {
		if err := e.Init(ctx); err != nil {
			return err
		}
		if err := e.invokeFrequently(ctx, frequentShare); err != nil {
			return err
		}
		begin, err := e.look()
		if err != nil {
			return err
		}
		if err := e.invokeFrequently(ctx, frequentInvocations); err != nil {
			return err
		}
		end, err := e.look()
		if err != nil {
			return err
		}
		stopping, err := stoppingCost(end.pids)
		if err != nil {
			return err
		}
		to.add(prefixFrequent+keyInvocationCPU, millis(end.cpu-begin.cpu)/float64(frequentInvocations)-millis(stopping))
		return e.Shutdown(ctx)
	})
	if err != nil {
		return err
	}
	made := (frequentShare + frequentInvocations) * spansPerEvent
	to.add(prefixFrequent+keyMissing, float64(made-(r.functionSpans()-before)))
	return nil
}

// layerScope is how the names of scopes end that have what the layer makes of Lambda's events.
const layerScope = "/telemetryapireceiver"

// functionSpans are those that the function has made, and not the layer of what Lambda tells.
func (r rig) functionSpans() int {
	n := 0
	for _, span := range r.sink.Spans() {
		if !strings.HasSuffix(span.Scope.Name(), layerScope) {
			n++
		}
	}
	return n
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
