// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type fixedClock struct{}

func (fixedClock) Now() time.Time {
	return time.Date(2026, time.October, 8, 9, 30, 29, 443_999_000, time.FixedZone("CEST", 2*60*60))
}

func (fixedClock) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// capture is a factory whose output and clock are the test's.
func capture() (stdout, stderr *bytes.Buffer, factory telemetry.Factory) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return stdout, stderr, NewFactory(
		WithOutput(zapcore.AddSync(stdout), zapcore.AddSync(stderr)),
		func(s *settings) { s.clock = fixedClock{} },
	)
}

func newTestLogger(t *testing.T, yaml string) (stdout, stderr *bytes.Buffer, logger *zap.Logger) {
	t.Helper()
	cfg, err := load(t, "telemetry: {"+yaml+"}")
	require.NoError(t, err)
	stdout, stderr, factory := capture()
	logger, shutdown, err := factory.CreateLogger(t.Context(), telemetry.LoggerSettings{}, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shutdown(t.Context())) })
	return stdout, stderr, logger
}

func TestJSONLine(t *testing.T) {
	stdout, stderr, logger := newTestLogger(t, "logs: {initial_fields: {team: a, telemetry.self: not mine}}")
	logger.Debug("not seen")
	logger.Named("exporter").Error("failed \"badly\"", zap.Error(errors.New("refused")), zap.Int("items", 3))
	require.Equal(t, `{"level":"error","ts":"2026-10-08T07:30:29.443Z","logger":"exporter","msg":"failed \"badly\"",`+
		`"telemetry.self":"otelcol-lambda","team":"a","error":"refused","items":3}`+"\n", stdout.String())
	require.Empty(t, stderr.String())
}

func TestConsoleLine(t *testing.T) {
	stdout, _, logger := newTestLogger(t, "logs: {encoding: console, level: debug}")
	logger.Debug("hello", zap.Int("n", 1))
	require.Equal(t, "2026-10-08T07:30:29.443Z\tdebug\thello\t{\"telemetry.self\": \"otelcol-lambda\", \"n\": 1}\n", stdout.String())
}

func TestDemotedLines(t *testing.T) {
	for level, want := range map[string]int{"info": 1, "debug": 2} {
		var stdout bytes.Buffer
		factory := NewFactory(WithOutput(zapcore.AddSync(&stdout), zapcore.AddSync(&stdout)), WithDemoted("Misleading."))
		cfg, err := load(t, "telemetry: {logs: {level: "+level+"}}")
		require.NoError(t, err)
		logger, _, err := factory.CreateLogger(t.Context(), telemetry.LoggerSettings{}, cfg)
		require.NoError(t, err)
		logger = logger.With(zap.Int("n", 1))
		logger.Error("Misleading. Do something else.")
		logger.Error("Something else. Misleading.")
		require.Equal(t, want, strings.Count(stdout.String(), "\n"), stdout.String())
	}
}

func TestNewLoggerHasTheSameShape(t *testing.T) {
	var out bytes.Buffer
	logger := NewLogger(zapcore.AddSync(&out), zapcore.InfoLevel, zap.String("part", "main"))
	logger.WithOptions(zap.WithClock(fixedClock{})).Info("hello", zap.Bool("ok", true))
	logger.Debug("not seen")
	require.Equal(t, `{"level":"info","ts":"2026-10-08T07:30:29.443Z","msg":"hello","telemetry.self":"otelcol-lambda",`+
		`"part":"main","ok":true}`+"\n", out.String())
}

func TestEveryLineCarriesTheMarker(t *testing.T) {
	for _, encoding := range []string{"json", "console"} {
		stdout, _, logger := newTestLogger(t, "logs: {level: debug, encoding: "+encoding+"}")
		for _, derived := range []*zap.Logger{
			logger, logger.With(zap.Int("a", 1)), logger.Named("x"), logger.WithLazy(zap.Int("a", 1)), logger.Sugar().Desugar(),
			logger.With(zap.Namespace("ns")),
		} {
			derived.Info("line")
		}
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		require.Len(t, lines, 6)
		for _, line := range lines {
			object := line[strings.Index(line, "{"):]
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(object), &fields), line)
			require.Equal(t, MarkerValue, fields[MarkerKey], line)
		}
	}
}

func TestOutputPaths(t *testing.T) {
	stdout, stderr, logger := newTestLogger(t, "logs: {output_paths: [stderr]}")
	logger.Info("x")
	require.Empty(t, stdout.String())
	require.Contains(t, stderr.String(), `"msg":"x"`)

	stdout, stderr, logger = newTestLogger(t, "logs: {output_paths: [stderr, stdout]}")
	logger.Info("x")
	require.Equal(t, stdout.String(), stderr.String())
	require.NotEmpty(t, stdout.String())

	stdout, stderr, logger = newTestLogger(t, "logs: {output_paths: [/nowhere/at/all]}")
	logger.Info("x")
	require.Contains(t, stdout.String(), `"msg":"x"`)
	require.Empty(t, stderr.String())
}

func TestSampling(t *testing.T) {
	stdout, _, logger := newTestLogger(t, "logs: {sampling: {initial: 2, thereafter: 0}}")
	for range 10 {
		logger.Info("again")
	}
	require.Equal(t, 2, strings.Count(stdout.String(), "again"))
}

func TestCallerAndStacktrace(t *testing.T) {
	stdout, _, logger := newTestLogger(t, "logs: {disable_caller: false, disable_stacktrace: false}")
	logger.Warn("w")
	require.Contains(t, stdout.String(), `"caller":"selftelemetry/factory_test.go:`)
	require.NotContains(t, stdout.String(), "stacktrace")
	logger.Error("e")
	require.Contains(t, stdout.String(), `"stacktrace":"`)

	stdout, _, logger = newTestLogger(t, "logs: {disable_stacktrace: false, development: true}")
	logger.Warn("w")
	require.Contains(t, stdout.String(), `"stacktrace":"`)
}

func TestOneWarningNamesWhatIsIgnored(t *testing.T) {
	const line = `{"level":"warn","ts":"2026-10-08T07:30:29.443Z","msg":"%","telemetry.self":"otelcol-lambda"}` + "\n"
	for yaml, message := range map[string]string{
		"metrics: {readers: [1]}": "service::telemetry::metrics::readers is not supported by this distribution and is ignored",
		"metrics: {readers: [1], views: [1]}, traces: {processors: [1]}": "service::telemetry::metrics::readers, " +
			"service::telemetry::metrics::views and service::telemetry::traces::processors " +
			"are not supported by this distribution and are ignored",
	} {
		stdout, _, _ := newTestLogger(t, yaml)
		require.Equal(t, strings.Replace(line, "%", message, 1), stdout.String())
	}
	stdout, _, _ := newTestLogger(t, "logs: {level: info}, metrics: {level: none}")
	require.Empty(t, stdout.String())
}

func TestLoggerRefusesWhatValidateRefuses(t *testing.T) {
	_, _, factory := capture()
	cfg := factory.CreateDefaultConfig().(*Config)
	cfg.Logs.Level = "loud"
	_, _, err := factory.CreateLogger(t.Context(), telemetry.LoggerSettings{}, cfg)
	require.ErrorContains(t, err, "`service::telemetry::logs::level` is \"loud\"")
	_, _, err = factory.CreateLogger(t.Context(), telemetry.LoggerSettings{}, struct{}{})
	require.Error(t, err)
	_, _, err = factory.CreateResource(t.Context(), telemetry.Settings{}, struct{}{})
	require.Error(t, err)
}

func TestResource(t *testing.T) {
	build := component.BuildInfo{Command: "otelcol-lambda", Version: "1.2.3"}
	create := func(yaml string, build component.BuildInfo) (pcommon.Resource, string) {
		cfg, err := load(t, "telemetry: {"+yaml+"}")
		require.NoError(t, err)
		resource, schemaURL, err := NewFactory().CreateResource(t.Context(), telemetry.Settings{BuildInfo: build}, cfg)
		require.NoError(t, err)
		return resource, schemaURL
	}
	resource, schemaURL := create("", build)
	require.Empty(t, schemaURL)
	attrs := resource.Attributes().AsRaw()
	require.Regexp(t, "^[0-9a-f]{32}$", attrs["service.instance.id"])
	other, _ := create("", build)
	require.NotEqual(t, attrs["service.instance.id"], other.Attributes().AsRaw()["service.instance.id"])
	delete(attrs, "service.instance.id")
	require.Equal(t, map[string]any{"service.name": "otelcol-lambda", "service.version": "1.2.3"}, attrs)

	resource, _ = create("resource: {service.instance.id: null, service.name: mine, since: 2020-01-02, n: 5}",
		component.BuildInfo{})
	require.Equal(t, map[string]any{"service.name": "mine", "since": "2020-01-02 00:00:00 +0000 UTC", "n": int64(5)},
		resource.Attributes().AsRaw())

	resource, schemaURL = create("resource: {schema_url: 'https://example.com/1', attributes: "+
		"[{name: service.instance.id, value: i}, {name: n, value: 5}, {name: list, value: [a, b]}, {value: x}, 7]}", build)
	require.Equal(t, "https://example.com/1", schemaURL)
	require.Equal(t, map[string]any{
		"service.name": "otelcol-lambda", "service.version": "1.2.3", "service.instance.id": "i", "n": int64(5),
		"list": []any{"a", "b"},
	}, resource.Attributes().AsRaw())
}

func TestProvidersRecordNothing(t *testing.T) {
	factory := NewFactory()
	cfg := factory.CreateDefaultConfig()
	meters, err := factory.CreateMeterProvider(t.Context(), telemetry.MeterSettings{}, cfg)
	require.NoError(t, err)
	require.IsType(t, noop.Meter{}, meters.Meter("x"))
	require.NoError(t, meters.Shutdown(t.Context()))
	tracers, err := factory.CreateTracerProvider(t.Context(), telemetry.TracerSettings{}, cfg)
	require.NoError(t, err)
	require.IsType(t, nooptrace.Tracer{}, tracers.Tracer("x"))
	require.NoError(t, tracers.Shutdown(t.Context()))
}

// TestNoSDK holds the reason for this package: nothing it imports brings the OpenTelemetry SDK or Prometheus along.
// service/telemetry is left out, which imports otelconf for the type of one field.
func TestNoSDK(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	imports := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			imports[path] = true
		}
	}
	require.True(t, imports["go.opentelemetry.io/collector/service/telemetry"])
	delete(imports, "go.opentelemetry.io/collector/service/telemetry")

	args := []string{"list", "-deps", "--"}
	for path := range imports {
		args = append(args, path)
	}
	slices.Sort(args[3:])
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	require.NoError(t, err)
	for path := range strings.FieldsSeq(string(out)) {
		require.False(t, strings.HasPrefix(path, "go.opentelemetry.io/otel/sdk") || strings.Contains(path, "prometheus") ||
			strings.Contains(path, "otelconf"), path)
	}
}
