// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

// TestConfigurationThatCannotWork checks that the function does not notice, and that the log says what is wrong.
func TestConfigurationThatCannotWork(t *testing.T) {
	folder := t.TempDir()
	for name, tt := range map[string]struct {
		setup setup
		says  []string
	}{
		"not YAML": {
			setup: setup{config: "receivers: [otlp\n  exporters"},
			says:  []string{"yaml", "validate"},
		},
		"unknown component": {
			setup: setup{config: strings.Replace(usualConfig, "otlp_http:", "otlphtpp:", 1)},
			says:  []string{"otlphtpp", "components"},
		},
		"unknown key": {
			setup: setup{config: strings.Replace(usualConfig, "    types:", "    tipes:", 1)},
			says:  []string{"tipes", "telemetryapi"},
		},
		"invalid value": {
			setup: setup{config: strings.Replace(usualConfig, "types: [platform, function]", "types: [plattform]", 1)},
			says:  []string{"plattform", "`types`"},
		},
		"missing file": {
			setup: setup{configURI: filepath.Join(folder, "nowhere.yaml")},
			says:  []string{"nowhere.yaml", "OPENTELEMETRY_COLLECTOR_CONFIG_URI"},
		},
		"folder": {
			setup: setup{configURI: folder},
			says:  []string{folder, "OPENTELEMETRY_COLLECTOR_CONFIG_URI"},
		},
		"unknown scheme": {
			setup: setup{configURI: "ftp://example.com/config.yaml"},
			says:  []string{"ftp"},
		},
		"empty": {
			setup: setup{config: "# nothing\n"},
			says:  []string{"no receiver"},
		},
	} {
		for guarded, complaint := range map[bool]string{
			true: "its telemetry is not collected", false: "The collector does not run",
		} {
			t.Run(fmt.Sprintf("%s, guarded %t", name, guarded), func(t *testing.T) {
				t.Parallel()
				set := tt.setup
				set.unguarded = !guarded
				r := newRig(t, set)
				r.init(t)
				for range 20 {
					require.Less(t, r.succeed(t).Held, time.Second)
				}
				r.end(t)
				r.says(t, complaint)
				var errors []string
				for line := range strings.Lines(r.log.String()) {
					require.NotContains(t, line, contract.ReasonPrefix, "what is meant for the guard is seen by nobody else")
					if strings.Contains(line, `"level":"error"`) {
						errors = append(errors, line)
					}
				}
				require.Len(t, errors, 1, "one line says it")
				for _, text := range tt.says {
					require.Contains(t, errors[0], text)
				}
			})
		}
	}
}

func TestPortInUse(t *testing.T) {
	for name, tt := range map[string]struct {
		port      func(ports) string
		telemetry bool
	}{
		"OTLP/gRPC": {port: func(p ports) string { return p.grpc }, telemetry: true},
		"telemetry": {port: func(p ports) string { return p.telemetry }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The listener for Lambda's events is the guard's, if there is one.
			r := newRig(t, setup{unguarded: !tt.telemetry})
			// All addresses, since the listener for Lambda's events is on all of them.
			l, err := net.Listen("tcp4", ":"+tt.port(r.ports))
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			r.init(t)
			for range 3 {
				r.succeed(t)
			}
			r.end(t)
			r.says(t, "address already in use")
			r.nothingLost(t)
			if tt.telemetry {
				r.linesArrived(t)
			}
		})
	}
}

func TestTelemetryAPIThatIsNotThere(t *testing.T) {
	for name, tt := range map[string]struct {
		mode lambdasim.TelemetryMode
		says string
	}{
		"answered 202": {mode: lambdasim.TelemetryNotSupported, says: "no Telemetry API here"},
		"answered 403": {mode: lambdasim.TelemetryRefused, says: "Telemetry.SubscriptionClosed"},
		"answered 500": {mode: lambdasim.TelemetryFailing, says: "Subscribing to the Telemetry API failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Telemetry = tt.mode }})
			r.init(t)
			for range 5 {
				require.Less(t, r.succeed(t).Held, time.Second)
			}
			r.end(t)
			r.says(t, tt.says)
			r.nothingLost(t)
		})
	}
}

func TestSlowLambda(t *testing.T) {
	for name, change := range map[string]func(*lambdasim.Options){
		"slow to register":              func(o *lambdasim.Options) { o.RegisterDelay = 2 * time.Second },
		"slower than the pipelines":     func(o *lambdasim.Options) { o.RegisterDelay = 6 * time.Second },
		"slow to subscribe":             func(o *lambdasim.Options) { o.SubscribeDelay = time.Second },
		"too slow to wait to subscribe": func(o *lambdasim.Options) { o.SubscribeDelay = 5 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup{options: change})
			r.init(t)
			r.succeed(t)
			r.succeed(t)
			r.end(t)
			r.nothingLost(t)
		})
	}
}

func TestNoEndpoint(t *testing.T) {
	config := strings.Replace(usualConfig, "${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}", "${env:OTELCOL_LAMBDA_OTLP_ENDPOINT:-}", 1)
	r := newRig(t, setup{config: config, env: map[string]string{"OTELCOL_LAMBDA_OTLP_ENDPOINT": ""}})
	r.init(t)
	r.succeed(t)
	r.succeed(t)
	r.end(t)
	require.NotEmpty(t, r.tap.Identities(), "the function's data is taken")
	require.Equal(t, 1, strings.Count(r.log.String(), `"level":"warn"`)-strings.Count(r.log.String(), "Data was dropped"),
		"one warning at the start")
	r.says(t, "exporters::otlp_http::endpoint")
	r.says(t, "Data was dropped")
}

// post sends a body to the layer from outside the function.
func post(t *testing.T, url, contentType string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestOTLPThatDoesNotParseOrIsHuge(t *testing.T) {
	const protobuf = "application/x-protobuf"
	r := newRig(t, setup{options: func(o *lambdasim.Options) { o.Freeze = lambdasim.FreezeNone }})
	r.init(t)
	traces := "http://127.0.0.1:" + r.ports.http + "/v1/traces"
	require.Equal(t, http.StatusBadRequest, post(t, traces, protobuf, []byte("\xff\xff\xff not protobuf")))
	require.Equal(t, http.StatusBadRequest, post(t, traces, "application/json", []byte(`{"resourceSpans": 7`)))
	require.Equal(t, http.StatusUnsupportedMediaType, post(t, traces, "text/plain", []byte("spans")))

	// More than the queue of a function with 128 MB holds, in a request that is otherwise fine: taken when the queue is
	// empty, since it is in memory already.
	const name = 12 << 20
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	spans.AppendEmpty().SetName(strings.Repeat("x", name))
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, post(t, traces, protobuf, body))
	// More than the receiver reads.
	require.GreaterOrEqual(t, post(t, traces, protobuf, make([]byte, 32<<20)), 400)

	// It leaves at once. While it is under way, the memory limiter of so small a function may refuse what comes.
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(r.sink.Spans(), func(s otlpsink.Span) bool { return len(s.Name()) == name })
	}, 30*time.Second, 10*time.Millisecond)
	spans.At(0).SetName("small")
	body, err = ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	// The limiter looks once a second.
	require.Eventually(t, func() bool {
		return post(t, traces, protobuf, body) == http.StatusOK
	}, 30*time.Second, 1100*time.Millisecond)
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
	r.linesArrived(t)
}

func TestTelemetryThatIsNotWhatItShouldBe(t *testing.T) {
	r := newRig(t, setup{unguarded: true, options: func(o *lambdasim.Options) { o.Freeze = lambdasim.FreezeNone }})
	r.init(t)
	r.succeed(t)
	telemetry := "http://127.0.0.1:" + r.ports.telemetry + "/"
	for _, body := range []string{
		"", "not JSON", "{}", "null", `"text"`, "[", `[{"type":"function","record":"cut off`,
		`[{"type":"platform.brandNew","time":"2026-11-20T03:00:00.000Z","record":{"x":1}}]`,
		`[7, null, {"time":"yesterday","type":"function","record":"line between bad ones\n"}, {"type":"platform.report","record":"x"}]`,
	} {
		require.Equal(t, http.StatusOK, post(t, telemetry, "application/json", []byte(body)), body)
	}
	require.Equal(t, http.StatusOK, post(t, telemetry, "application/json", make([]byte, 8<<20)))
	r.succeed(t)
	r.end(t)
	r.nothingLost(t)
	require.Contains(t, r.records("function"), "line between bad ones")
	require.Len(t, r.records("platform.brandNew"), 1)
	require.Len(t, r.records("platform.runtimeDone"), 2)
}

// TestConfigurationVariables runs a list of configurations, one that holds commas itself, and the deprecated
// variable.
func TestConfigurationVariables(t *testing.T) {
	for name, variables := range map[string]func(path, overlay string) map[string]string{
		"list": func(path, overlay string) map[string]string {
			return map[string]string{"OPENTELEMETRY_COLLECTOR_CONFIG_URI": path + "," + overlay}
		},
		"list with inline YAML": func(path, overlay string) map[string]string {
			return map[string]string{
				"OPENTELEMETRY_COLLECTOR_CONFIG_URI": "yaml:receivers: {otlp: {protocols: {grpc: , http: }}}, file:" + path + ", " + overlay,
			}
		},
		"deprecated": func(path, overlay string) map[string]string {
			return map[string]string{
				"OPENTELEMETRY_COLLECTOR_CONFIG_URI": "", "OPENTELEMETRY_COLLECTOR_CONFIG_FILE": path + "," + overlay,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overlay := filepath.Join(t.TempDir(), "overlay.yaml")
			require.NoError(t, os.WriteFile(overlay, []byte(`
exporters: {otlp_http: {endpoint: "${env:THE_OTHER_ENDPOINT}"}}
`), 0o600))
			other := otlpsink.New(otlpsink.Options{})
			require.NoError(t, other.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, other.Close()) })
			r := newRig(t, setup{env: map[string]string{"THE_OTHER_ENDPOINT": other.HTTPEndpoint()}, options: func(o *lambdasim.Options) {
				maps.Copy(o.Env, variables(o.Env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"], overlay))
			}})
			r.init(t)
			r.succeed(t)
			r.end(t)
			require.Empty(t, r.sink.Spans())
			require.NoError(t, other.WaitFor(bounded(t), func(s *otlpsink.Sink) bool { return len(s.Spans()) > 0 }))
		})
	}
}

// TestSecretsStayOutOfTheLog runs a configuration that fails, given inline.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	r := newRig(t, setup{configURI: "yaml:exporters: {otlp_http: {endpoint: http://127.0.0.1:1, headers: {api-key: hunter2}}}"})
	r.init(t)
	r.succeed(t)
	r.end(t)
	r.says(t, "The collector's configuration is wrong")
	require.NotContains(t, r.log.String(), "hunter2")
}

// TestCommandLine runs the program as somebody does who checks a configuration before deploying it.
func TestCommandLine(t *testing.T) {
	program := filepath.Join(built.layer, "extensions", "otelcol-lambda")
	defaults := filepath.Join(built.layer, "collector-config", "config.yaml")
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("receivers: {otlp: {protocols: {grpcc: }}}"), 0o600))
	for name, tt := range map[string]struct {
		arguments, env, says []string
		fails                bool
	}{
		"version":    {arguments: []string{"--version"}, says: []string{"otelcol-lambda version "}},
		"components": {arguments: []string{"components"}, says: []string{"telemetryapi", "decouple", "otlp_http", "lambda"}},
		"what runs":  {arguments: []string{"config", "--config", defaults}, says: []string{"spool:", "decouple/discard"}},
		"the layer's own configuration": {
			arguments: []string{"validate"},
			env:       []string{"OTELCOL_LAMBDA_OTLP_ENDPOINT=https://otlp.example.com"},
		},
		"a warning": {
			arguments: []string{"validate", "--config", defaults},
			says:      []string{"warn", "exporters::otlp_http::endpoint", "OTELCOL_LAMBDA_OTLP_ENDPOINT"},
		},
		"an error": {
			arguments: []string{"validate", "--config", broken},
			says:      []string{"grpcc", "otlp"},
			fails:     true,
		},
		"a configuration from the environment": {
			arguments: []string{"validate"},
			env:       []string{"OPENTELEMETRY_COLLECTOR_CONFIG_URI=" + broken},
			says:      []string{"grpcc"},
			fails:     true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), program, tt.arguments...)
			cmd.Env = tt.env
			output, err := cmd.CombinedOutput()
			require.Equal(t, tt.fails, err != nil, "%v: %s", err, output)
			for _, text := range tt.says {
				require.Contains(t, string(output), text)
			}
			if len(tt.says) == 0 {
				require.Empty(t, string(output))
			}
		})
	}
}
