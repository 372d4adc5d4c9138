// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// plan is what an environment is made of, besides the layer.
type plan struct {
	function string
	// env are variables of function and layer.
	env map[string]string
	// timeout is the function's; a usual one if it is 0.
	timeout time.Duration
	// apart says that what the function takes is not of the extension's share of the CPU.
	apart bool
}

// environment is one in which something is measured.
type environment struct {
	*lambdasim.Environment

	// cgroup is what its processes are in, nil where nothing is limited.
	cgroup *cgroup
}

// with runs do in a new environment, and tells what the processes wrote if that fails.
func (r rig) with(ctx context.Context, s subject, p plan, do func(*environment) error) (err error) {
	if s.collector {
		if err := portsFree(ctx); err != nil {
			return err
		}
	}
	env := map[string]string{}
	if r.sink != nil {
		// So the layer compresses, as it does for a backend elsewhere.
		env["OTELCOL_LAMBDA_OTLP_ENDPOINT"] = otlpsink.Remote(r.sink.HTTPEndpoint())
	}
	maps.Copy(env, p.env)
	var output bytes.Buffer
	options := lambdasim.Options{
		LayerDir:    s.layer,
		Function:    []string{p.function},
		FunctionDir: filepath.Dir(p.function),
		Env:         env,
		MemoryMB:    r.condition.memoryMB,
		Timeout:     max(p.timeout, timeout),
		InitTimeout: initTimeout,
		// The same everywhere; starting a process in a cgroup of its own takes longer on some kernels.
		Freeze: lambdasim.FreezeSignal,
		Output: &output,
	}
	e := &environment{}
	if r.condition.limited() {
		g, err := r.limiter.open(r.condition.share, r.dir)
		if err != nil {
			return err
		}
		// The processes end before their cgroup does.
		defer func() { err = errors.Join(err, g.close()) }()
		e.cgroup = &g
		if options.LayerDir, err = s.confined(r.limiter, g, r.dir); err != nil {
			return err
		}
		if !p.apart {
			other := g
			other.mark += "-function"
			options.Function = append([]string{r.limiter.confine}, other.command(p.function)...)
		}
	}
	if e.Environment, err = lambdasim.New(options); err != nil {
		return err
	}
	if err := errors.Join(do(e), e.Close()); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.name, err, output.Bytes())
	}
	return nil
}

// ahead is what the extension had taken before it became itself, and when that was.
func (e *environment) ahead() (ahead, error) {
	if e.cgroup == nil {
		// The start of Init was that of the process but for some 0.1 ms.
		return ahead{at: e.Report().Inits[0].Start}, nil
	}
	text, err := os.ReadFile(e.cgroup.mark)
	if err != nil {
		return ahead{}, err
	}
	return parseMark(string(text))
}

// sight is what can be seen of an extension while all processes are stopped.
type sight struct {
	// pids are its processes, the one that Lambda started first.
	pids []int
	// register and firstNext are since its start.
	register, firstNext time.Duration
	// cpu, minor and major are what all of them have used, and had of page faults, since then.
	cpu          time.Duration
	minor, major float64
}

// look expects that Init has been made.
func (e *environment) look() (sight, error) {
	inits := e.Report().Inits
	if len(inits) != 1 || len(inits[0].Extensions) != 1 {
		return sight{}, errors.New("the extension was started again, or is not alone")
	}
	x := inits[0].Extensions[0]
	s := sight{register: x.Register, firstNext: x.FirstNext}
	var err error
	if s.pids, err = family(x.PID); err != nil {
		return s, err
	}
	if s.cpu, err = cpuTime(s.pids); err != nil {
		return s, err
	}
	if s.minor, s.major, err = faultsOf(s.pids); err != nil {
		return s, err
	}
	before, err := e.ahead()
	if err != nil {
		return s, err
	}
	late := before.at.Sub(inits[0].Start)
	s.register, s.firstNext = s.register-late, s.firstNext-late
	s.cpu, s.minor, s.major = s.cpu-before.cpu, s.minor-before.minor, s.major-before.major
	return s, nil
}

// invokeFrequently makes n invocations, the first of them after a gap.
func (e *environment) invokeFrequently(ctx context.Context, n int) error {
	tick := time.NewTicker(frequentGap)
	defer tick.Stop()
	for range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := e.invoke(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// invoke makes an invocation and waits until all are ready for the next one.
func (e *environment) invoke(ctx context.Context, event string) (lambdasim.Invocation, error) {
	if _, err := e.Invoke(ctx, []byte(event)); err != nil {
		return lambdasim.Invocation{}, err
	}
	if err := e.Settle(ctx); err != nil {
		return lambdasim.Invocation{}, err
	}
	all := e.Report().Invocations
	done := all[len(all)-1]
	if done.PlatformStatus != lambdasim.StatusSuccess {
		return done, fmt.Errorf("invocation %d ended with %s: %s", done.Number, done.PlatformStatus, done.Message)
	}
	return done, nil
}
