// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/featuregate"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files")

// resolve reads a file as the collector does, with the conversion in the place where the collector has it. It returns
// the lines that were logged.
func resolve(t *testing.T, file string, env map[string]string) (conf *confmap.Conf, log string) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	var lines bytes.Buffer
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder, ConsoleSeparator: " ",
	})
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs:              []string{"file:" + file},
		ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory(), envprovider.NewFactory()},
		DefaultScheme:     "env",
		ConverterFactories: []confmap.ConverterFactory{NewFactory(WithLookupEnv(func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		}))},
		ConverterSettings: confmap.ConverterSettings{
			Logger: zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&lines), zapcore.DebugLevel)),
		},
	})
	require.NoError(t, err)
	conf, err = resolver.Resolve(t.Context())
	require.NoError(t, err)
	return conf, lines.String()
}

func readEnv(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	env := map[string]string{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	return env
}

func cases(tb testing.TB) []string {
	tb.Helper()
	dirs, err := filepath.Glob("testdata/*/in.yaml")
	require.NoError(tb, err)
	require.NotEmpty(tb, dirs)
	return dirs
}

// toYAML keeps what has been set apart from what has not: an empty map is not null.
func toYAML(tb testing.TB, conf *confmap.Conf) string {
	tb.Helper()
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	require.NoError(tb, encoder.Encode(conf.ToStringMap()))
	return out.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "%s; run the tests with -update if the change is wanted", file)
}

func TestGolden(t *testing.T) {
	for _, in := range cases(t) {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			env := readEnv(t, filepath.Join(dir, "env"))
			conf, log := resolve(t, in, env)
			golden(t, filepath.Join(dir, "out.yaml"), toYAML(t, conf))
			golden(t, filepath.Join(dir, "log.txt"), log)

			again, logAgain := resolve(t, in, env)
			require.Equal(t, conf, again, "deterministic")
			require.Equal(t, log, logAgain, "deterministic")
		})
	}
}

func TestIdempotent(t *testing.T) {
	for _, in := range cases(t) {
		dir := filepath.Dir(in)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			env := readEnv(t, filepath.Join(dir, "env"))
			conf, _ := resolve(t, in, env)
			before := toYAML(t, conf)
			requireNoChange(t, conf.ToStringMap(), func(name string) (string, bool) { v, ok := env[name]; return v, ok })
			converter := NewFactory().Create(confmap.ConverterSettings{Logger: zap.NewNop()})
			require.NoError(t, converter.Convert(t.Context(), conf))
			require.Equal(t, before, toYAML(t, conf))
		})
	}
}

// requireNoChange converts what has been converted. Warnings about what a user has set may come again.
func requireNoChange(tb testing.TB, root map[string]any, lookup lookupEnv) {
	tb.Helper()
	for _, change := range convert(root, lookup) {
		require.Empty(tb, change.edits, change.Message)
		require.Equal(tb, zapcore.WarnLevel, change.Level, change.Message)
	}
}

// TestExportersAccept decodes every converted OTLP exporter and memory limiter into the configuration it is meant for.
func TestExportersAccept(t *testing.T) {
	otlp, otlpHTTP := otlpexporter.NewFactory(), otlphttpexporter.NewFactory()
	decoded := 0
	for _, in := range cases(t) {
		dir := filepath.Dir(in)
		if strings.HasPrefix(filepath.Base(dir), "odd_") {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			conf, _ := resolve(t, in, readEnv(t, filepath.Join(dir, "env")))
			for _, section := range []string{"exporters", "processors"} {
				components, err := conf.Sub(section)
				require.NoError(t, err)
				for _, id := range slices.Sorted(maps.Keys(components.ToStringMap())) {
					var cfg component.Config
					switch {
					case isOTLPHTTP(id):
						cfg = otlpHTTP.CreateDefaultConfig()
					case isOTLP(id):
						cfg = otlp.CreateDefaultConfig()
					case typeOf(id) == "memory_limiter":
						cfg = memorylimiterprocessor.NewFactory().CreateDefaultConfig()
					default:
						continue
					}
					sub, err := components.Sub(id)
					require.NoError(t, err, id)
					require.NoError(t, sub.Unmarshal(cfg), id)
					require.NoError(t, confmap.Validate(cfg), id)
					decoded++
				}
			}
		})
	}
	require.Greater(t, decoded, 20)
}

func otlpHTTPConfig(t *testing.T, conf *confmap.Conf, id string) *otlphttpexporter.Config {
	t.Helper()
	sub, err := conf.Sub("exporters::" + id)
	require.NoError(t, err)
	cfg := otlphttpexporter.NewFactory().CreateDefaultConfig().(*otlphttpexporter.Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func otlpConfig(t *testing.T, conf *confmap.Conf, id string) *otlpexporter.Config {
	t.Helper()
	sub, err := conf.Sub("exporters::" + id)
	require.NoError(t, err)
	cfg := otlpexporter.NewFactory().CreateDefaultConfig().(*otlpexporter.Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestQueueAndRetryOfTheExporters(t *testing.T) {
	conf, _ := resolve(t, "testdata/user_queue/in.yaml", nil)
	for id, want := range map[string]struct{ queue, retry bool }{
		"otlp_http/on":  {queue: true, retry: true},
		"otlp_http/off": {queue: false, retry: true},
	} {
		cfg := otlpHTTPConfig(t, conf, id)
		require.Equal(t, want.queue, cfg.QueueConfig.HasValue(), id)
		require.Equal(t, want.retry, cfg.RetryConfig.Enabled, id)
	}
	for id, queue := range map[string]bool{"otlp/empty": true, "otlp/null": false, "otlp/env": false} {
		cfg := otlpConfig(t, conf, id)
		require.Equal(t, queue, cfg.QueueConfig.HasValue(), id)
		require.False(t, cfg.RetryConfig.Enabled, id)
	}
}

// TestCompressionOfTheExporters: gzip unless the data stays on this machine; what the user has said is kept. `none` beside
// middlewares is the lambda extension's to decide.
func TestCompressionOfTheExporters(t *testing.T) {
	conf, _ := resolve(t, "testdata/loopback/in.yaml", readEnv(t, "testdata/loopback/env"))
	for id, want := range map[string]string{
		"otlp_http": "none", "otlp_http/gzip": "gzip", "otlp_http/level": "gzip",
		"otlp_http/auth": "none", "otlp_http/auth_away": "gzip", "otlp_http/auth_gzip": "gzip",
		"otlphttp/signals": "none", "otlphttp/one_away": "gzip",
	} {
		cfg := otlpHTTPConfig(t, conf, id)
		require.EqualValues(t, want, cfg.ClientConfig.Compression, id)
		require.Equal(t, id == "otlp_http", len(cfg.ClientConfig.Middlewares) > 0, id)
	}
	for id, want := range map[string]string{
		"otlp": "none", "otlp/away": "gzip", "otlp/gzip": "gzip", "otlp/none": "none",
		"otlp_grpc/unset": "none", "otlp_grpc/dns": "none", "otlp_grpc/server": "gzip", "otlp_grpc/tls": "none",
		"otlp_grpc/socket": "none",
	} {
		require.EqualValues(t, want, otlpConfig(t, conf, id).ClientConfig.Compression, id)
	}
}

func TestLoopbackTargets(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:4317":                true,
		"[::1]:4317":                    true,
		"api.localhost:4317":            true,
		"https://localhost:4317":        true,
		"dns:///localhost:4317":         true,
		"dns://8.8.8.8/localhost:4317":  true,
		"passthrough:///127.0.0.1:4317": true,
		"unix:///tmp/otlp.sock":         true,
		"":                              false,
		"unix":                          false,
		"dns":                           false,
		"unix:4317":                     false,
		"localhost":                     false, // the exporter refuses it: it has no port
		"0.0.0.0:4317":                  false,
		"dns://localhost/backend:4317":  false,
		"xds:///localhost:4317":         false,
	} {
		require.Equal(t, want, isLoopbackTarget(target), target)
	}
	require.False(t, isLoopbackTarget(5))
	require.False(t, isLoopbackURL(5))
	require.False(t, isLoopbackURL("localhost:4318"), "it has no scheme")
	require.False(t, isLoopbackURL("http://[::1"))
}

func TestHeadersOfTheExporters(t *testing.T) {
	conf, log := resolve(t, "testdata/headers/in.yaml", readEnv(t, "testdata/headers/env"))
	require.NotContains(t, log, "secret", "a value was logged")
	for id, want := range map[string]map[string]string{
		"otlp_http/plain": {
			"api-key": "secret", "x-team": "check out", "x-encoded": "a,b c", "x-base64": "YWJj==",
		},
		"otlp_http/env":    {"authorization": "Bearer a.b=", "X-Scope": "1|2;3"},
		"otlp_http/yaml":   {"k": "a: b #x"},
		"otlp_http/quoted": {"k": "0123", "l": "k=a: b #x"},
		"otlp_http/number": {},
		"otlp_http/list":   {},
		"otlp_http/bad":    {"ok": "100%", "ok2": "x"},
	} {
		got := map[string]string{}
		for name, value := range otlpHTTPConfig(t, conf, id).ClientConfig.Headers.Iter {
			got[name] = string(value)
		}
		require.Equal(t, want, got, id)
	}
	for id, want := range map[string]map[string]string{
		"otlp/empty": {}, "otlp/only_headers": {}, "otlp/unset": {}, "otlp/null": {},
		"otlp/map":          {"api-key": "0123"},
		"otlp/map_from_env": {"api-key": "abc", "n": "5"},
		"otlp/map_list":     {"api-key": "0123"},
	} {
		got := map[string]string{}
		for name, value := range otlpConfig(t, conf, id).ClientConfig.Headers.Iter {
			got[name] = string(value)
		}
		require.Equal(t, want, got, id)
	}
}

// TestTextOfVariablesSurvives: a value that looks like a number stays the text it was for fields that are text, in
// sections that were changed and in those that came from a provider as a whole.
func TestTextOfVariablesSurvives(t *testing.T) {
	conf, _ := resolve(t, "testdata/incumbent/in.yaml", readEnv(t, "testdata/incumbent/env"))
	value, ok := otlpHTTPConfig(t, conf, "otlphttp").ClientConfig.Headers.Get("api-key")
	require.True(t, ok)
	require.Equal(t, "0123", string(value))

	conf, _ = resolve(t, "testdata/provider_sections/in.yaml", readEnv(t, "testdata/provider_sections/env"))
	cfg := otlpHTTPConfig(t, conf, "otlp_http")
	value, ok = cfg.ClientConfig.Headers.Get("k")
	require.True(t, ok)
	require.Equal(t, "a: b #x", string(value))
	require.Equal(t, "https://otlp.example.com", cfg.ClientConfig.Endpoint)
	require.EqualValues(t, "none", cfg.ClientConfig.Compression)
	require.False(t, cfg.QueueConfig.HasValue())
}

// TestWithListsAppended: with this gate a merge appends to lists, which must not bring back what a change took out.
func TestWithListsAppended(t *testing.T) {
	const gate = "confmap.enableMergeAppendOption"
	require.NoError(t, featuregate.GlobalRegistry().Set(gate, true))
	defer func() { require.NoError(t, featuregate.GlobalRegistry().Set(gate, false)) }()
	for _, name := range []string{"custom_lambda_not_listed", "no_endpoint", "some_endpoints"} {
		conf, _ := resolve(t, "testdata/"+name+"/in.yaml", nil)
		want, err := os.ReadFile("testdata/" + name + "/out.yaml")
		require.NoError(t, err)
		require.Equal(t, string(want), toYAML(t, conf), name)
	}
}

func TestDefaultConfiguration(t *testing.T) {
	const file = "../../../config.yaml"
	t.Run("without an endpoint", func(t *testing.T) {
		conf, log := resolve(t, file, map[string]string{endpointEnv: "", "OTELCOL_LAMBDA_OTLP_HEADERS": ""})
		require.Equal(t, 1, strings.Count(log, "warn "), "one clear warning:\n%s", log)
		require.Contains(t, log, "exporters::otlp_http::endpoint")
		require.Contains(t, log, endpointEnv+", for example to https://")
		for _, signal := range []string{"traces", "metrics", "logs"} {
			require.Equal(t, []any{"memory_limiter", "decouple/discard"},
				conf.Get("service::pipelines::"+signal+"::processors"))
			require.Equal(t, []any{"nop"}, conf.Get("service::pipelines::"+signal+"::exporters"))
		}
		require.Equal(t, "exporter `otlp_http` has no endpoint", conf.Get("processors::decouple/discard::discard"))
		require.False(t, conf.IsSet("exporters::otlp_http"))
	})
	t.Run("with an endpoint", func(t *testing.T) {
		conf, log := resolve(t, file, map[string]string{
			endpointEnv: "https://otlp.example.com:4318", "OTELCOL_LAMBDA_OTLP_HEADERS": "api-key=a%2Cb: c #d",
			"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
		})
		require.NotContains(t, log, "warn ")
		cfg := otlpHTTPConfig(t, conf, "otlp_http")
		require.NoError(t, confmap.Validate(cfg))
		value, _ := cfg.ClientConfig.Headers.Get("api-key")
		require.Equal(t, "a,b: c #d", string(value))
		require.False(t, cfg.QueueConfig.HasValue())
		require.Equal(t, 256, conf.Get("processors::memory_limiter::limit_mib"))
		for _, signal := range []string{"traces", "metrics", "logs"} {
			require.Equal(t, []any{"memory_limiter", "decouple"},
				conf.Get("service::pipelines::"+signal+"::processors"))
			require.Equal(t, []any{"otlp_http"}, conf.Get("service::pipelines::"+signal+"::exporters"))
		}
	})
}

func TestMemoryLimit(t *testing.T) {
	for size, want := range map[string]int{
		"": 32, "128": 32, " 64 ": 24, "1": 24, "1769": 442, "10240": 512, "a lot": 32, "-5": 32, "0": 32,
	} {
		root := map[string]any{"processors": map[string]any{"memory_limiter": nil}}
		convert(root, func(name string) (string, bool) {
			require.Equal(t, memoryEnv, name)
			return size, size != ""
		})
		require.Equal(t, map[string]any{"limit_mib": want, "spike_limit_mib": want / 5, "check_interval": "1s",
			"min_gc_interval_when_soft_limited": "0s"},
			root["processors"].(map[string]any)["memory_limiter"], size)
	}
}

func TestQueueTypesAreSorted(t *testing.T) {
	for _, id := range []string{
		"awskinesis", "aws_kinesis/x", "otlp", "otlp_grpc", "otlphttp", "otlp_http/x", "splunk_hec",
		"zipkin",
	} {
		require.True(t, hasQueue(id), id)
	}
	for _, id := range []string{"", "debug", "nop", "file", "prometheusremotewrite", "awsxray"} {
		require.False(t, hasQueue(id), id)
	}
}

func TestParseHeaders(t *testing.T) {
	for _, tc := range []struct {
		text string
		want map[string]any
		bad  []int
	}{
		{"", map[string]any{}, nil},
		{" ,, ", map[string]any{}, nil},
		{"a=b", map[string]any{"a": "b"}, nil},
		{"a=", map[string]any{"a": ""}, nil},
		{" a = b ,c=d e ", map[string]any{"a": "b", "c": "d e"}, nil},
		{"a=b=c==", map[string]any{"a": "b=c=="}, nil},
		{"a=1,a=2", map[string]any{"a": "2"}, nil},
		{"a=%3D+%2c", map[string]any{"a": "=+,"}, nil},
		{"a=50%,b=%zz", map[string]any{"a": "50%", "b": "%zz"}, nil},
		{"a,b=c,=d,e f=g,h:i=j", map[string]any{"b": "c"}, []int{1, 3, 4, 5}},
		{"a=%0d%0ax: y,b=\x00,c=\t-,ü=1,d=ü", map[string]any{"c": "-", "d": "ü"}, []int{1, 2, 4}},
	} {
		got, bad := parseHeaders(tc.text)
		require.Equal(t, tc.want, got, tc.text)
		require.Equal(t, tc.bad, bad, tc.text)
	}
}

func TestFactoryWithoutLogger(t *testing.T) {
	converter := NewFactory().Create(confmap.ConverterSettings{})
	conf := confmap.New()
	require.NoError(t, converter.Convert(t.Context(), conf))
	require.Equal(t, map[string]any{
		"extensions": map[string]any{"lambda": map[string]any{}},
		"service":    map[string]any{"extensions": []any{"lambda"}},
	}, conf.ToStringMap())
	require.NoError(t, converter.Convert(t.Context(), confmap.NewFromStringMap(nil)))
}

func FuzzConvert(f *testing.F) {
	for _, in := range cases(f) {
		content, err := os.ReadFile(in)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte("exporters: {otlp: {headers: {1: 2}}, ? [a] : b}"))
	f.Add([]byte("exporters: {'otlp_http::': }"))
	f.Add([]byte("exporters: {'otlp_http:': {0: }}"))
	lookup := func(string) (string, bool) { return "", false }
	f.Fuzz(func(t *testing.T, content []byte) {
		retrieved, err := confmap.NewRetrievedFromYAML(content)
		if err != nil {
			return
		}
		conf, err := retrieved.AsConf()
		if err != nil {
			return
		}
		converter := NewFactory(WithLookupEnv(lookup)).Create(confmap.ConverterSettings{})
		require.NoError(t, converter.Convert(t.Context(), conf))
		if raw, err := retrieved.AsRaw(); err != nil || hasDelimiter(raw) {
			// confmap takes a key such as `otlp::x` apart when it is read, but not when it is deleted.
			return
		}
		once := conf.ToStringMap()
		requireNoChange(t, conf.ToStringMap(), lookup)
		require.NoError(t, converter.Convert(t.Context(), conf))
		require.Equal(t, once, conf.ToStringMap())
	})
}

// hasDelimiter tells keys that confmap cannot tell from several nested ones: `a::b`, and `a:` with something below it.
func hasDelimiter(value any) bool {
	ambiguous := func(key string) bool {
		return strings.Contains(key, confmap.KeyDelimiter) || strings.HasPrefix(key, ":") || strings.HasSuffix(key, ":")
	}
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if ambiguous(key) || hasDelimiter(below) {
				return true
			}
		}
	case map[any]any:
		for key, below := range v {
			if ambiguous(fmt.Sprint(key)) || hasDelimiter(below) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasDelimiter)
	}
	return false
}
