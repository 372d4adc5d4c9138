// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

func ignoreSignals() { signal.Ignore(syscall.SIGTERM, syscall.SIGINT) }

// selfPath is the path the program was started with. Links lead to the test binary.
func selfPath() string {
	path := strings.TrimSuffix(string(mustRead("/proc/self/comm")), "\n")
	return path
}

func mustRead(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		die("%s", err)
	}
	return content
}

// patience bounds what a test waits for. Race-instrumented programs on a busy machine start slowly.
const patience = 60 * time.Second

// built is the guard's program, built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func guardProgram(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		//nolint:usetesting // it is for all tests
		if built.dir, built.err = os.MkdirTemp("", "guard-"); built.err != nil {
			return
		}
		args := append([]string{"build", "-o", filepath.Join(built.dir, "guard")}, raceFlags()...)
		out, err := exec.Command("go", append(args, "./testdata/guard")...).CombinedOutput()
		if err != nil {
			built.err = &buildError{string(out)}
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "guard")
}

type buildError struct{ output string }

func (e *buildError) Error() string { return e.output }

func raceFlags() []string {
	if raceEnabled {
		return []string{"-race"}
	}
	return nil
}

// setup is what a test wants of its environment.
type setup struct {
	fault string
	// at is the invocation of a process at which a fault @invoke happens, faulty how many starts have the fault; 0 is all.
	at, faulty int
	// invocations is how many there are, in tests that can choose.
	invocations int
	env         map[string]string
	options     func(*lambdasim.Options)
	// full adds the fuller program, bare leaves out the collector.
	full, bare bool
}

// rig is a layer with the guard, the test collector, and the simulator that runs them.
type rig struct {
	t      *testing.T
	env    *lambdasim.Environment
	layer  string
	dir    string
	output *output
	sent   int
}

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	r := &rig{t: t, layer: t.TempDir(), dir: t.TempDir(), output: &output{t: t}}
	for _, folder := range []string{"extensions", "otelcol-lambda"} {
		require.NoError(t, os.Mkdir(filepath.Join(r.layer, folder), 0o755))
	}
	// A link of the other kind would lead the guard to another layer.
	require.NoError(t, os.Link(guardProgram(t), filepath.Join(r.layer, "extensions", "otelcol-lambda")))
	if !s.bare {
		require.NoError(t, os.Symlink(self, filepath.Join(r.layer, "otelcol-lambda", "collector")))
	}
	if s.full {
		require.NoError(t, os.Symlink(self, filepath.Join(r.layer, "otelcol-lambda", "collector-full")))
	}
	opts := lambdasim.Options{
		LayerDir:        r.layer,
		Function:        []string{self},
		MemoryMB:        256,
		Timeout:         20 * time.Second,
		InitTimeout:     30 * time.Second,
		ShutdownTimeout: 5 * time.Second,
		Output:          r.output,
		Env: map[string]string{
			testDir: r.dir, testFault: s.fault,
			// A race-instrumented program sleeps for a second before it ends.
			"GORACE": "atexit_sleep_ms=0",
		},
	}
	if s.at > 0 {
		opts.Env[testFaultAt] = strconv.Itoa(s.at)
	}
	if s.faulty > 0 {
		opts.Env[testFaulty] = strconv.Itoa(s.faulty)
	}
	maps.Copy(opts.Env, s.env)
	if s.options != nil {
		s.options(&opts)
	}
	r.env, err = lambdasim.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.env.Close()) })
	return r
}

func (r *rig) context() context.Context {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) init() {
	r.t.Helper()
	require.NoError(r.t, r.env.Init(r.context()))
}

// invoke runs invocations, one after the other, each of which has to succeed and to give its own result.
func (r *rig) invoke(n int) (last lambdasim.Invocation) {
	r.t.Helper()
	for range n {
		last = r.invokeFor(0)
	}
	return last
}

// invokeFor runs one invocation whose function takes some time.
func (r *rig) invokeFor(d time.Duration) lambdasim.Invocation {
	r.t.Helper()
	r.sent++
	payload, err := json.Marshal(map[string]int{"number": r.sent, "ms": int(d.Milliseconds())})
	require.NoError(r.t, err)
	inv, err := r.env.Invoke(r.context(), payload)
	require.NoError(r.t, err)
	require.Equal(r.t, lambdasim.StatusSuccess, inv.Status, inv.Message)
	require.JSONEq(r.t, `"done `+strconv.Itoa(r.sent)+`"`, string(inv.Response))
	require.NoError(r.t, r.env.Settle(r.context()))
	inv = r.env.Report().Invocations[inv.Number-1]
	require.Equal(r.t, lambdasim.StatusSuccess, inv.PlatformStatus)
	return inv
}

// shutdown ends the environment and checks that it was one guard from beginning to end, which did nothing wrong.
func (r *rig) shutdown() lambdasim.Report {
	r.t.Helper()
	require.NoError(r.t, r.env.Shutdown(r.context()))
	report := r.env.Report()
	require.Len(r.t, report.Inits, 1)
	// A delivery that a collector had begun to take when it died is cut off. Lambda makes it again.
	require.Empty(r.t, slices.DeleteFunc(report.Violations, func(v lambdasim.Violation) bool {
		return v.Kind == lambdasim.ViolationListenerRefused
	}))
	require.Len(r.t, report.Shutdowns, 1)
	require.Len(r.t, report.Shutdowns[0].Extensions, 1)
	exit := report.Shutdowns[0].Extensions[0]
	require.Equal(r.t, "otelcol-lambda", exit.Name)
	require.Zero(r.t, exit.ExitCode, exit.Status)
	require.False(r.t, exit.Killed)
	return report
}

// lines are those of a file of the collector's.
func (r *rig) lines(file string) []string {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, file))
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(r.t, err)
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// await waits until a file of the collector's has lines.
func (r *rig) await(file string, n int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.lines(file)) >= n }, patience, time.Millisecond)
}

// pid is the process of the latest start.
func (r *rig) pid() int {
	r.t.Helper()
	lines := r.lines("starts")
	field, _, _ := strings.Cut(lines[len(lines)-1], " ")
	pid, err := strconv.Atoi(field)
	require.NoError(r.t, err)
	return pid
}

// output keeps what the programs write.
type output struct {
	t *testing.T

	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	if o.text.Len() < 1<<16 {
		o.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// logged are the guard's own lines.
func (o *output) logged(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(o.String()) {
		if at := strings.Index(line, `{"level":`); at >= 0 {
			var decoded map[string]any
			require.NoError(t, json.Unmarshal([]byte(line[at:]), &decoded), line)
			require.Equal(t, "otelcol-lambda", decoded["telemetry.self"])
			_, err := time.Parse("2006-01-02T15:04:05.000Z", decoded["ts"].(string))
			require.NoError(t, err)
			lines = append(lines, decoded)
		}
	}
	return lines
}

// messages are the guard's own lines, as level and message.
func (o *output) messages(t *testing.T) (messages []string) {
	t.Helper()
	for _, line := range o.logged(t) {
		messages = append(messages, line["level"].(string)+": "+line["msg"].(string))
	}
	return messages
}
