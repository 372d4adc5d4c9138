// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	// cellTime is how long the invocations of a cell may take besides the gaps. A slow backend holds each of them, and to
	// see that so many are enough.
	cellTime = 45 * time.Second
	// endTime bounds the rest of a cell, on a busy machine.
	endTime = time.Minute
	// settleTime is how long the backend has been calm when SHUTDOWN comes. In Lambda that is minutes.
	settleTime = 200 * time.Millisecond
	// calmCells is how many times as many cells run at the same time when they are frozen nearly all the time.
	calmCells = 3
)

// deliveryRig is what all cells share.
type deliveryRig struct {
	layer, function string
	ports           *ports
}

// deliver runs the cells and returns their rows in the same order, without those that failed.
func (set settings) deliver(ctx context.Context, function string, w io.Writer) ([]delivery, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs*set.parallel*calmCells))
	layer, err := filepath.Abs(set.layer)
	if err != nil {
		return nil, err
	}
	r := deliveryRig{layer: layer, function: function, ports: newPorts()}
	cells := set.matrix()
	told := progress{w: w, of: len(cells)}
	rows, errs := make([]delivery, len(cells)), make([]error, len(cells))
	do := func(i int) {
		start := time.Now()
		rows[i], errs[i] = r.run(ctx, cells[i])
		told.finished(cells[i], time.Since(start), errs[i])
	}
	busy, calm := inTurn(cells)
	atOnce(ctx, busy, set.parallel, do)
	atOnce(ctx, calm, set.parallel*calmCells, do)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(d delivery) bool { return len(d.Holds) == 0 })
	compare(rows)
	return rows, errors.Join(errs...)
}

// inTurn are the indices of the cells that keep a CPU busy and of those that do not, each with the longest first, so that
// none is left to run alone.
func inTurn(cells []cell) (busy, calm []int) {
	for i, c := range cells {
		if c.gap.name == gapFrequent {
			busy = append(busy, i)
		} else {
			calm = append(calm, i)
		}
	}
	longest := func(i, j int) int { return cmp.Compare(cells[j].expected(), cells[i].expected()) }
	slices.SortStableFunc(busy, longest)
	slices.SortStableFunc(calm, longest)
	return busy, calm
}

// progress tells of the cells that are finished.
type progress struct {
	w  io.Writer
	of int

	mu   sync.Mutex
	done int
}

func (p *progress) finished(c cell, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	verdict := ""
	if err != nil {
		verdict = ": failed"
	}
	fmt.Fprintf(p.w, "delivery %d of %d, %s%s (%s)\n", p.done, p.of, c.name(), verdict, took.Round(100*time.Millisecond))
}

// atOnce calls do for each, n at the same time.
func atOnce(ctx context.Context, list []int, n int, do func(int)) {
	slots := make(chan struct{}, n)
	var running sync.WaitGroup
	for _, i := range list {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	running.Wait()
}

// run takes an environment through its life.
func (r deliveryRig) run(ctx context.Context, c cell) (_ delivery, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit()+endTime)
	defer cancel()
	var output bytes.Buffer
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", c.name(), err, output.Bytes())
		}
	}()
	grpcPort, err := r.ports.free(ctx)
	if err != nil {
		return delivery{}, err
	}
	httpPort, err := r.ports.free(ctx)
	if err != nil {
		return delivery{}, err
	}
	sink := otlpsink.New(otlpsink.Options{GRPCAddr: otlpsink.AddrNone})
	tap := otlpsink.NewTap(otlpsink.TapOptions{Target: "http://127.0.0.1:" + httpPort})
	// The environment ends before what its processes talk to.
	defer func() { err = errors.Join(err, tap.Close(), sink.Close()) }()
	if err := errors.Join(sink.Start(ctx), tap.Start(ctx)); err != nil {
		return delivery{}, err
	}
	env := c.env()
	env["OTELCOL_LAMBDA_OTLP_ENDPOINT"] = otlpsink.Remote(sink.HTTPEndpoint())
	env["OTEL_EXPORTER_OTLP_ENDPOINT"] = tap.Endpoint()
	// The layer's own configuration, but for the ports.
	env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = filepath.Join(r.layer, configPath) +
		",yaml:receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:" + grpcPort +
		",yaml:receivers::otlp::protocols::http::endpoint: 127.0.0.1:" + httpPort
	e, err := lambdasim.New(lambdasim.Options{
		LayerDir: r.layer,
		Function: []string{r.function},
		Env:      env,
		MemoryMB: memoryMB,
		Timeout:  timeout,
		Freeze:   lambdasim.FreezeSignal,
		Output:   &output,
	})
	if err != nil {
		return delivery{}, err
	}
	broken, err := c.live(ctx, e, sink)
	if err := errors.Join(err, e.Close()); err != nil {
		return delivery{}, err
	}
	report := e.Report()
	w := watched{
		invocations: report.Invocations, violations: report.Violations, broken: broken, requests: len(sink.Requests()),
	}
	w.accepted = itemsOf(tap.Spans(), tap.Points(), tap.LogRecords())
	w.arrived = itemsOf(sink.Spans(), sink.Points(), sink.LogRecords())
	return newDelivery(c, w), nil
}

// limit is when the cell begins no more invocations.
func (c cell) limit() time.Duration { return time.Duration(c.gap.invocations)*c.gap.pause + cellTime }

// env are the variables that a user would set.
func (c cell) env() map[string]string {
	env := map[string]string{
		"OTELCOL_LAMBDA_FLUSH_STRATEGY": string(c.strategy),
		"OTELCOL_LAMBDA_FLUSH_TIMEOUT":  flushTimeout.String(),
	}
	if interval := c.interval(); interval > 0 {
		env["OTELCOL_LAMBDA_FLUSH_INTERVAL"] = interval.String()
	}
	return env
}

// live makes the invocations and ends the environment. It returns since when the backend misbehaves.
func (c cell) live(ctx context.Context, e *lambdasim.Environment, sink *otlpsink.Sink) (broken time.Time, err error) {
	if err := e.Init(ctx); err != nil {
		return broken, err
	}
	broken = time.Now()
	if err := sink.SetFaults(c.backend.faults()...); err != nil {
		return broken, err
	}
	for n := 0; n < c.gap.invocations && time.Since(broken) < c.limit(); n++ {
		if _, err := e.Invoke(ctx, []byte(event)); err != nil {
			return broken, err
		}
		if err := e.Settle(ctx); err != nil {
			return broken, err
		}
		done := e.Report().Invocations[n]
		if done.PlatformStatus != lambdasim.StatusSuccess {
			return broken, fmt.Errorf("invocation %d ended with %s: %s", done.Number, done.PlatformStatus, done.Message)
		}
		if err := sleep(ctx, c.gap.pause); err != nil {
			return broken, err
		}
	}
	// Whatever is under way has its answer when SHUTDOWN comes, and a backend that was down is back.
	last := broken.Add(c.backend.fault.For)
	if now := time.Now(); last.Before(now) {
		last = now.Add(c.backend.fault.Latency)
	}
	if err := sleep(ctx, time.Until(last.Add(settleTime))); err != nil {
		return broken, err
	}
	return broken, e.Shutdown(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func itemsOf(spans []otlpsink.Span, points []otlpsink.Point, records []otlpsink.LogRecord) (all []otlpsink.Item) {
	for _, s := range spans {
		all = append(all, s.Item)
	}
	for _, p := range points {
		all = append(all, p.Item)
	}
	for _, l := range records {
		all = append(all, l.Item)
	}
	return all
}

// ports gives each port once.
type ports struct {
	mu   sync.Mutex
	next int
}

// Ports for the layer are below those that the kernel gives to outgoing connections: one of these could take a port
// between the moment it was found to be free and the moment the layer listens on it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// newPorts begins somewhere in the first half, so that two runs on one machine are not in each other's way.
func newPorts() *ports { return &ports{next: firstPort + rand.IntN((lastPort-firstPort)/2)} }

// free returns a port that nobody listens on.
func (p *ports) free(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.next < lastPort {
		port := strconv.Itoa(p.next)
		p.next++
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return port, l.Close()
	}
	return "", errors.New("no port is free for the layer")
}
