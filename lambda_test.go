// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testExtensionID = "5f4c1f0a-97a4-4b0d-8f9c-6a3a4c9d2e10"

	// patience is when a test gives up. It bounds hangs and nothing else.
	patience = 30 * time.Second
)

// lambdaStub answers an extension's calls to Lambda.
type lambdaStub struct {
	address   string
	register  int             // status of the answer
	calls     chan string     // register, subscribe and next, as they come
	answers   chan stubAnswer // one for each next
	shutdowns chan struct{}   // closed: SHUTDOWN is the answer to next when there is no other
}

type stubAnswer struct {
	status int
	body   string
}

func newLambdaStub(t *testing.T) *lambdaStub {
	t.Helper()
	l := &lambdaStub{
		register:  http.StatusOK,
		calls:     make(chan string, 100),
		answers:   make(chan stubAnswer, 10),
		shutdowns: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		l.calls <- "register"
		w.Header().Set("Lambda-Extension-Identifier", testExtensionID)
		w.WriteHeader(l.register)
	})
	mux.HandleFunc("PUT /2022-07-01/telemetry", func(http.ResponseWriter, *http.Request) { l.calls <- "subscribe" })
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(w http.ResponseWriter, r *http.Request) {
		l.calls <- "next"
		shutdowns := l.shutdowns
		if len(l.answers) > 0 {
			shutdowns = nil
		}
		select {
		case a := <-l.answers:
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
		case <-shutdowns:
			_, _ = fmt.Fprintf(w, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":%d}`,
				time.Now().Add(2*time.Second).UnixMilli())
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l.address = server.Listener.Addr().String()
	t.Setenv("AWS_LAMBDA_RUNTIME_API", l.address)
	t.Setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
	return l
}

func (l *lambdaStub) invoke(requestID string) {
	l.answers <- stubAnswer{http.StatusOK, fmt.Sprintf(`{"eventType":"INVOKE","requestId":%q,"deadlineMs":%d}`,
		requestID, time.Now().Add(100*time.Millisecond).UnixMilli())}
}

// begin registers an extension, and closes its session at the end of the test.
func (l *lambdaStub) begin(t *testing.T) *extensionsapi.Pending {
	t.Helper()
	reg := extensionsapi.NewClient(l.address).Begin(t.Context(), "otelcol-lambda", extensionsapi.Events(""))
	t.Cleanup(func() {
		if session, err := reg.Session(context.Background()); err == nil {
			session.Close()
		}
	})
	return reg
}

// await waits for calls, in that order.
func (l *lambdaStub) await(t *testing.T, calls ...string) {
	t.Helper()
	for _, want := range calls {
		require.Equal(t, want, receive(t, l.calls))
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "it did not come")
		panic("unreachable")
	}
}

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	return zap.New(core), logs
}

// config is a configuration with the given endpoints of the OTLP receiver. Port 0 is any free port.
func config(grpc, http string) environment {
	receiver := fmt.Sprintf("{protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}", grpc, http)
	return environment{logLevel: zapcore.ErrorLevel, configURIs: []string{pipeline("traces", "otlp", receiver)}}
}

// pipeline is the URI of a configuration with one pipeline.
func pipeline(signal, receiver, configuration string) string {
	return fmt.Sprintf(`yaml:
receivers: {%[2]s: %[3]s}
exporters: {nop: }
service: {pipelines: {%[1]s: {receivers: [%[2]s], exporters: [nop]}}}
`, signal, receiver, configuration)
}

func TestRunCollectorUntilShutdown(t *testing.T) {
	l := newLambdaStub(t)
	logger, logs := observed()
	l.invoke("1") // of a function that runs into its timeout
	close(l.shutdowns)
	require.NoError(t, runCollector(t.Context(), config("127.0.0.1:0", "127.0.0.1:0"), l.begin(t), logger))
	l.await(t, "register", "subscribe", "next", "next")
	require.Empty(t, l.calls)
	require.Empty(t, logs.All())
}

func TestRunCollectorUntilSignal(t *testing.T) {
	l := newLambdaStub(t)
	logger, logs := observed()
	reg := l.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runCollector(ctx, config("127.0.0.1:0", "127.0.0.1:0"), reg, logger) }()
	l.await(t, "register", "subscribe", "next")
	cancel()
	require.NoError(t, receive(t, ended))
	require.Empty(t, logs.All())
}

func TestRunCollectorWithoutPortsThatAreInUse(t *testing.T) {
	occupied := make([]string, 2)
	for i := range occupied {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		occupied[i] = listener.Addr().String()
	}
	t.Run("one", func(t *testing.T) {
		l := newLambdaStub(t)
		logger, logs := observed()
		close(l.shutdowns)
		require.NoError(t, runCollector(t.Context(), config(occupied[0], "127.0.0.1:0"), l.begin(t), logger))
		l.await(t, "register", "subscribe", "next")
		require.Empty(t, l.calls, "the collector that did not start has said nothing to Lambda")
		require.Len(t, logs.All(), 1)
		require.Contains(t, logs.All()[0].Message, "Another process listens on a port")
		require.Equal(t, occupied[0], logs.All()[0].ContextMap()["address"])
	})
	t.Run("all", func(t *testing.T) {
		l := newLambdaStub(t)
		logger, logs := observed()
		require.Error(t, runCollector(t.Context(), config(occupied[0], occupied[1]), l.begin(t), logger),
			"there is nothing left to run")
		l.await(t, "register")
		require.Empty(t, l.calls)
		require.Len(t, logs.All(), 2)
	})
}

// Whatever is wrong with the collector, the environment lives, and the log says what to do.
func TestRunOnLambdaWithoutCollector(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("receivers: [\n\tnot: yaml"), 0o600))
	for name, test := range map[string]struct {
		uris          []string
		advice, error string
		config        []any
	}{
		"no such file": {
			[]string{"/nowhere/config.yaml"}, "Check that OPENTELEMETRY_COLLECTOR_CONFIG_URI names a configuration",
			"/nowhere/config.yaml", []any{"/nowhere/config.yaml"},
		},
		"not yaml": {[]string{broken}, "`otelcol-lambda validate`", "yaml", []any{broken}},
		"unknown component": {
			[]string{pipeline("traces", "kafka", "{}")},
			"The configuration names a component that this distribution does not have", "kafka", []any{"yaml:…"},
		},
		"unknown key": {
			[]string{pipeline("traces", "otlp", "{protokolls: }")},
			"`otelcol-lambda validate`", "protokolls", []any{"yaml:…"},
		},
		"invalid value": {
			[]string{pipeline("logs", "telemetryapi", "{types: [platfrom]}")},
			"`otelcol-lambda validate`", "platfrom", []any{"yaml:…"},
		},
		"empty": {[]string{"yaml:{}"}, "`otelcol-lambda validate`", "no receiver", []any{"yaml:…"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLambdaStub(t)
			stdout := captureStdout(t)
			l.invoke("1")
			code := make(chan int, 1)
			env := environment{runtimeAPI: l.address, configURIs: test.uris, warnings: []string{"a warning"}}
			go func() { code <- runOnLambda(env) }()
			l.await(t, "register", "next", "next")
			close(l.shutdowns)
			require.Zero(t, receive(t, code))

			entries := stdout()
			require.GreaterOrEqual(t, len(entries), 2)
			require.Equal(t, "a warning", entries[0]["msg"])
			last := entries[len(entries)-1]
			require.Equal(t, "error", last["level"])
			require.Contains(t, last["msg"], "The collector does not run. The function is not affected")
			require.Contains(t, last["msg"], test.advice)
			require.Contains(t, last["error"], test.error)
			require.Equal(t, test.config, last["config"])
		})
	}
}

// A signal ends in order what has asked for its first event, and what is not registered and runs all the same.
func TestRunOnLambdaUntilSignal(t *testing.T) {
	// As long as the process does not handle the signal itself, this test does not end by it.
	own := make(chan os.Signal, 1)
	signal.Notify(own, syscall.SIGTERM)
	defer signal.Stop(own)
	for name, test := range map[string]struct {
		uris     []string
		register int
		calls    []string
	}{
		"collector":    {config("127.0.0.1:0", "127.0.0.1:0").configURIs, http.StatusOK, []string{"register", "subscribe", "next"}},
		"stands by":    {[]string{"/nowhere/config.yaml"}, http.StatusOK, []string{"register", "next"}},
		"unregistered": {config("127.0.0.1:0", "127.0.0.1:0").configURIs, http.StatusForbidden, []string{"register"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLambdaStub(t)
			l.register = test.register
			captureStdout(t)
			code := make(chan int, 1)
			go func() { code <- runOnLambda(environment{runtimeAPI: l.address, configURIs: test.uris}) }()
			l.await(t, test.calls...)
			require.Eventually(t, func() bool {
				require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
				return len(code) == 1
			}, patience, 10*time.Millisecond)
			require.Zero(t, <-code)
			require.Empty(t, l.calls)
		})
	}
}

// captureStdout redirects standard output until the end of the test. The function returns the log lines so far.
func captureStdout(t *testing.T) func() []map[string]any {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	before := os.Stdout
	os.Stdout = file
	t.Cleanup(func() {
		os.Stdout = before
		require.NoError(t, file.Close())
	})
	return func() (entries []map[string]any) {
		content, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		for lines := bufio.NewScanner(strings.NewReader(string(content))); lines.Scan(); {
			var entry map[string]any
			require.NoError(t, json.Unmarshal(lines.Bytes(), &entry), lines.Text())
			entries = append(entries, entry)
		}
		return entries
	}
}

func TestStandBy(t *testing.T) {
	l := newLambdaStub(t)
	logger, logs := observed()
	l.answers <- stubAnswer{http.StatusForbidden, ""}
	l.answers <- stubAnswer{http.StatusOK, `{"eventType":"NEW"}`}
	l.invoke("1")
	close(l.shutdowns)
	standBy(t.Context(), l.begin(t), logger)
	l.await(t, "register", "next", "next", "next", "next")
	require.Empty(t, l.calls)
	require.Empty(t, logs.All())
}

// The collector that failed has left its call for the next event, and Lambda takes only one.
func TestStandByTakesOver(t *testing.T) {
	l := newLambdaStub(t)
	logger, _ := observed()
	reg := l.begin(t)
	session, err := reg.Session(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := session.Next(ctx)
		given <- err
	}()
	l.await(t, "register", "next")
	cancel()
	require.ErrorIs(t, receive(t, given), context.Canceled)

	close(l.shutdowns)
	standBy(t.Context(), reg, logger)
	require.Empty(t, l.calls)
}

func TestStandByUntilSignal(t *testing.T) {
	l := newLambdaStub(t)
	logger, _ := observed()
	reg := l.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		standBy(ctx, reg, logger)
		close(ended)
	}()
	l.await(t, "register", "next")
	cancel()
	receive(t, ended)
}

// Not registered, there is nothing to answer; the process must live all the same.
func TestStandByUnregistered(t *testing.T) {
	l := newLambdaStub(t)
	l.register = http.StatusForbidden
	logger, logs := observed()
	reg := l.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		standBy(ctx, reg, logger)
		close(ended)
	}()
	require.Eventually(t, func() bool { return logs.Len() == 1 }, patience, time.Millisecond)
	require.Contains(t, logs.All()[0].Message, "Lambda did not register the extension")
	select {
	case <-ended:
		require.Fail(t, "it has ended before the signal")
	default:
	}
	cancel()
	receive(t, ended)
	l.await(t, "register")
	require.Empty(t, l.calls)
}

func TestRedactURIs(t *testing.T) {
	for uri, want := range map[string]string{
		"/var/task/config.yaml":      "/var/task/config.yaml",
		"/var/task/100%.yaml":        "/var/task/100%.yaml",
		"file:/var/task/config.yaml": "file:/var/task/config.yaml",
		"env:CONFIG":                 "env:CONFIG",
		"yaml:exporters::otlp_http::headers::api-key: secret":   "yaml:…",
		"https://host/config.yaml":                              "https://host/config.yaml",
		"https://user:secret@host:8443/config.yaml?sig=secret":  "https://host:8443/config.yaml",
		"https://host/config.yaml#secret":                       "https://host/config.yaml",
		"https://user:sec%ret@host/config.yaml":                 "https://…",
		"s3://bucket.s3.eu-west-1.amazonaws.com/a?X-Amz=secret": "s3://bucket.s3.eu-west-1.amazonaws.com/a",
	} {
		uris := []string{uri}
		require.Equal(t, []string{want}, redactURIs(uris))
		require.Equal(t, []string{uri}, uris)
	}
}

// TestRunOnLambdaBehindAGuard checks what the guard learns from a collector that cannot run.
func TestRunOnLambdaBehindAGuard(t *testing.T) {
	for name, test := range map[string]struct {
		uri    string
		status int
	}{
		"unknown component": {pipeline("traces", "kafka", "{}"), contract.ExitMissingComponent},
		"unknown key":       {pipeline("traces", "otlp", "{protokolls: }"), contract.ExitConfigInvalid},
		"no such file":      {"/nowhere/config.yaml", contract.ExitConfigInvalid},
		"unknown scheme":    {"ftp://example.com/config.yaml", contract.ExitMissingComponent},
		"unknown provider":  {pipeline("traces", "otlp", `"${vault:x}"`), contract.ExitMissingComponent},
		"source is down":    {"http://127.0.0.1:1/config.yaml", 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLambdaStub(t)
			env := environment{runtimeAPI: l.address, configURIs: []string{test.uri}, guarded: true}
			require.Equal(t, test.status, runOnLambda(env), "it does not stand by")
		})
	}
}

func TestInheritedListener(t *testing.T) {
	original, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, original.Close()) }()
	file, err := original.(*net.TCPListener).File()
	require.NoError(t, err)

	// The descriptor is the process's own from here on, as if it had been inherited.
	fd, err := syscall.Dup(int(file.Fd()))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	inherited, err := environment{telemetryFD: strconv.Itoa(fd)}.inheritedListener()
	require.NoError(t, err)
	require.Equal(t, original.Addr(), inherited.Addr())
	require.NoError(t, inherited.Close())

	none, err := environment{}.inheritedListener()
	require.NoError(t, err)
	require.Nil(t, none)
	for _, bad := range []string{"three", "99999"} {
		_, err = environment{telemetryFD: bad}.inheritedListener()
		require.Error(t, err, bad)
	}
}
