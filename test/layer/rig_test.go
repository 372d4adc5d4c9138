// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// built is what TestMain builds once: the layer's folder, one whose extension is the collector without the guard, and the
// example function's program.
var built struct{ layer, unguarded, function string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "otelcol-lambda-test-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func build(dir string) error {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	built.layer = filepath.Join(dir, "layer")
	built.unguarded = filepath.Join(dir, "unguarded")
	built.function = filepath.Join(dir, "function", "bootstrap")
	config, err := os.ReadFile(filepath.Join(root, "config.yaml"))
	if err != nil {
		return err
	}
	for _, layer := range []string{built.layer, built.unguarded} {
		if err := os.MkdirAll(filepath.Join(layer, "collector-config"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(layer, "collector-config", "config.yaml"), config, 0o600); err != nil {
			return err
		}
	}
	for _, b := range []struct{ dir, pkg, out, tags string }{
		{root, "./cmd/guard", filepath.Join(built.layer, "extensions", "otelcol-lambda"), ""},
		{root, ".", filepath.Join(built.layer, "otelcol-lambda", "collector"), "grpcnotrace"},
		{filepath.Join(root, "examples", "functions", "go"), ".", built.function, ""},
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", b.tags, "-o", b.out, b.pkg)
		cmd.Dir = b.dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s in %s: %w\n%s", cmd, b.dir, err, out)
		}
	}
	if err := os.Mkdir(filepath.Join(built.unguarded, "extensions"), 0o755); err != nil {
		return err
	}
	return os.Link(filepath.Join(built.layer, "otelcol-lambda", "collector"),
		filepath.Join(built.unguarded, "extensions", "otelcol-lambda"))
}

// ports are where the layer under test listens, free ones so that nothing on the machine is in the way.
type ports struct{ grpc, http, telemetry string }

// Ports for tests are below those that the kernel gives to outgoing connections: one of these could take a port between
// the moment it was found to be free and the moment the layer listens on it.
const (
	firstPort = 20000
	lastPort  = 32000
)

func freePorts(t *testing.T) ports {
	t.Helper()
	var free [3]string
	for i := range free {
		for free[i] == "" {
			port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort))
			l, err := net.Listen("tcp4", ":"+port)
			if errors.Is(err, syscall.EADDRINUSE) {
				continue
			}
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			free[i] = port
		}
	}
	return ports{grpc: free[0], http: free[1], telemetry: free[2]}
}

// rig is a layer and a function in the simulator, a tap between them, and a backend.
type rig struct {
	*lambdasim.Environment
	sink  *otlpsink.Sink
	tap   *otlpsink.Tap
	ports ports
	log   *transcript
	// killed says that the test has killed the collector.
	killed bool
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

// setup says how a rig differs from the usual one.
type setup struct {
	// config is a collector configuration; @GRPC@, @HTTP@, @TELEMETRY@, @BACKEND@ and @BACKEND_GRPC@ stand for
	// addresses. Empty means usualConfig.
	config string
	// configURI is used instead of a file with config.
	configURI string
	faults    string
	// unguarded leaves the guard out.
	unguarded bool
	env       map[string]string
	options   func(*lambdasim.Options)
	// prepare may change the rest when the backend is there, but no configuration yet.
	prepare func(*rig, *setup)
}

// usualConfig is the layer's default configuration on ports of the test's own.
const usualConfig = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:@GRPC@"}
      http: {endpoint: "127.0.0.1:@HTTP@"}
  telemetryapi:
    types: [platform, function]
    port: @TELEMETRY@
processors:
  memory_limiter:
  batch:
  decouple:
exporters:
  otlp_http:
    endpoint: ${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}
extensions:
  lambda:
service:
  extensions: [lambda]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    metrics: {receivers: [otlp], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
    logs: {receivers: [otlp, telemetryapi], processors: [memory_limiter, batch, decouple], exporters: [otlp_http]}
`

func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	faults, err := otlpsink.ParseFaults(s.faults)
	require.NoError(t, err)
	r := &rig{sink: otlpsink.New(otlpsink.Options{Faults: faults}), ports: freePorts(t), log: &transcript{}}
	require.NoError(t, r.sink.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.sink.Close()) })
	if s.prepare != nil {
		s.prepare(r, &s)
	}
	if s.config == "" {
		s.config = usualConfig
	}
	if s.configURI == "" {
		s.configURI = r.writeConfig(t, s.config)
	}
	target := "http://127.0.0.1:" + r.ports.http
	if s.configURI == layerDefault {
		target = "http://127.0.0.1:4318"
	}
	r.tap = otlpsink.NewTap(otlpsink.TapOptions{Target: target})
	require.NoError(t, r.tap.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.tap.Close()) })

	env := map[string]string{
		"OTELCOL_LAMBDA_OTLP_ENDPOINT":       otlpsink.Remote(r.sink.HTTPEndpoint()),
		"OPENTELEMETRY_COLLECTOR_CONFIG_URI": s.configURI,
		"OTEL_EXPORTER_OTLP_ENDPOINT":        r.tap.Endpoint(),
		"OPENTELEMETRY_EXTENSION_LOG_LEVEL":  "debug",
	}
	if s.configURI == layerDefault {
		delete(env, "OPENTELEMETRY_COLLECTOR_CONFIG_URI")
	}
	maps.Copy(env, s.env)
	options := lambdasim.Options{
		LayerDir: built.layer,
		Function: []string{built.function},
		Env:      env,
		Timeout:  5 * time.Second,
		Output:   r.log,
	}
	if s.unguarded {
		options.LayerDir = built.unguarded
	}
	if s.options != nil {
		s.options(&options)
	}
	r.Environment, err = lambdasim.New(options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, r.Close())
		if t.Failed() {
			t.Logf("what the processes wrote:\n%s", r.log)
		}
	})
	return r
}

// layerDefault stands for no configuration URI at all.
const layerDefault = "the layer's own"

func (r *rig) writeConfig(t *testing.T, config string) (path string) {
	t.Helper()
	config = strings.NewReplacer(
		"@GRPC@", r.ports.grpc, "@HTTP@", r.ports.http, "@TELEMETRY@", r.ports.telemetry,
		"@BACKEND@", r.sink.HTTPEndpoint(), "@BACKEND_GRPC@", strings.TrimPrefix(r.sink.GRPCEndpoint(), "http://"),
	).Replace(config)
	path = filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return path
}

// bounded is a context for one step of a test, which no step needs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (r *rig) init(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Init(bounded(t)))
}

// invoke runs one invocation to its end, until everything is frozen, and returns its report.
func (r *rig) invoke(t *testing.T, event string) lambdasim.Invocation {
	t.Helper()
	i, err := r.Invoke(bounded(t), []byte(event))
	require.NoError(t, err)
	require.NoError(t, r.Settle(bounded(t)))
	return r.Report().Invocations[i.Number-1]
}

// succeed runs one invocation that must not notice anything.
func (r *rig) succeed(t *testing.T) lambdasim.Invocation {
	t.Helper()
	return r.succeedWith(t, `{}`)
}

func (r *rig) succeedWith(t *testing.T, event string) lambdasim.Invocation {
	t.Helper()
	i := r.invoke(t, event)
	require.Equal(t, lambdasim.StatusSuccess, i.Status, i.Message)
	require.Equal(t, lambdasim.StatusSuccess, i.PlatformStatus)
	return i
}

// end shuts the environment down and checks that the extension behaved.
func (r *rig) end(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Shutdown(bounded(t)))
	report := r.Report()
	require.Empty(t, slices.DeleteFunc(report.Violations, func(v lambdasim.Violation) bool {
		// A delivery that a collector had begun to take when it died is cut off. Lambda makes it again.
		return r.killed && v.Kind == lambdasim.ViolationListenerRefused
	}))
	for _, s := range report.Shutdowns {
		for _, e := range s.Extensions {
			require.Zero(t, e.ExitCode, "%s ended with %s", e.Name, e.Status)
			require.False(t, e.Killed)
		}
	}
}

// nothingLost checks that everything the layer took over OTLP arrived once, and that there was something. What
// comes from Lambda past the tap is unexpected in the ledger, and not of interest here.
func (r *rig) nothingLost(t *testing.T) {
	t.Helper()
	accepted := r.tap.Identities()
	require.NotEmpty(t, accepted)
	ledger := lambdasim.Account(accepted, r.sink.Identities())
	require.Empty(t, ledger.Lost)
	require.Empty(t, ledger.Duplicated)
}

// linesArrived checks that each line of the function that Lambda handed over arrived once.
func (r *rig) linesArrived(t *testing.T) {
	t.Helper()
	lines := 0
	for _, s := range r.Report().Telemetry {
		lines += s.Events["function"].Delivered
	}
	require.Positive(t, lines)
	require.Len(t, r.records("function"), lines)
}

// records returns the bodies of the log records made from events of a type.
func (r *rig) records(eventType string) []string {
	var bodies []string
	for _, rec := range r.sink.LogRecords() {
		if v, ok := rec.Attributes().Get("type"); ok && v.Str() == eventType {
			bodies = append(bodies, rec.Body().AsString())
		}
	}
	slices.Sort(bodies)
	return bodies
}

// says waits until the processes have written a text.
func (r *rig) says(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), text) },
		5*time.Second, 10*time.Millisecond, "nobody said %q", text)
}
