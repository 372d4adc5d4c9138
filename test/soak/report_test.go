// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/test/soak/work"
)

// update writes testdata/report.txt anew.
var update = flag.Bool("update", false, "write the golden file")

// environment makes an outcome in which each invocation was held one millisecond longer.
func environment(number, invocations int, strategy string, b balance) outcome {
	o := outcome{
		plan:     environmentPlan{number: number, strategy: strategy, steps: make([]step, invocations)},
		balances: map[string]balance{pipelineTraces: b},
		samples:  samplesOf(invocations, func(i int) int64 { return 8<<20 + int64(i)<<10 }),
	}
	for i := range invocations {
		o.report.Invocations = append(o.report.Invocations, lambdasim.Invocation{Held: time.Duration(i) * time.Millisecond})
	}
	return o
}

func TestReport(t *testing.T) {
	t.Parallel()
	outcomes := []outcome{
		environment(0, 1000, "end", balance{
			accepted: 5000, delivered: 4900, dropped: map[string]int{"the queue was full": 103}, disputed: 3,
			duplicates: map[string]int{doubtAnswer: 7, doubtShutdown: 1},
		}),
		environment(1, 100, "periodic", balance{accepted: 100, delivered: 100}),
		environment(2, 50, "end", balance{accepted: 10, delivered: 9}),
	}
	outcomes[1].plan.steps[20].event.End = work.Crash
	outcomes[1].plan.steps[30].change = &change{kind: unavailable}
	outcomes[1].plan.steps[40].change = &change{kind: healthy}
	outcomes[1].refused = 2
	outcomes[2].broken = []string{"traces: 1 of 10 items are lost without a word"}
	outcomes[2].log = strings.Repeat("[extension otelcol-lambda] earlier\n", mostLines) + "[extension otelcol-lambda] last\n"
	s := summarize(outcomes)
	s.took = 83 * time.Second
	s.stalls = []stall{{begin: time.Unix(1_800_000_000, 0), length: 1500 * time.Millisecond}}
	var out bytes.Buffer
	require.NoError(t, s.write(&out, "go run ./test/soak -seed 1 -invocations 1150"))

	golden := filepath.Join("testdata", "report.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

func TestReportShowsSomeOfManyRules(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := brokenEnvironment{number: 3, rules: make([]string, mostRules+5)}
	writeBroken(&out, b, "soak")
	require.Contains(t, out.String(), "… and 5 more")
}

func TestProgress(t *testing.T) {
	t.Parallel()
	p := newProgress(plan{environments: []environmentPlan{{steps: make([]step, 60)}, {steps: make([]step, 40)}}})
	p.begin(0)
	p.begin(1)
	p.fault(1, hanging)
	p.invocation(1, 5)
	p.invocation(0, 1)
	p.invocation(0, 3)
	require.Equal(t, "3/100 invocations, 0/2 environments (0 broken), 8 items accepted, 0 dropped; now 0 healthy, 1 hang",
		p.String())
	o := environment(0, 10, "end", balance{accepted: 7, dropped: map[string]int{"x": 2}})
	o.broken = []string{"a rule"}
	p.end(&o)
	require.Equal(t, "3/100 invocations, 1/2 environments (1 broken), 8 items accepted, 2 dropped; now 1 hang", p.String())
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	require.Zero(t, quantile(nil, 0.5))
	require.EqualValues(t, 3, quantile([]time.Duration{1, 2, 3, 4, 5}, 0.5))
	require.EqualValues(t, 5, quantile([]time.Duration{1, 2, 3, 4, 5}, 0.99))
}
