// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package failopen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/goleak"
	"go.uber.org/multierr"
	"go.yaml.in/yaml/v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen returns the address that a first listener has got, and the error that a second one gets.
func listen(t *testing.T, network, address string) (net.Addr, error) {
	t.Helper()
	first, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = first.Close() })
	second, err := new(net.ListenConfig).Listen(t.Context(), network, first.Addr().String())
	if err == nil {
		_ = second.Close()
	}
	require.Error(t, err)
	return first.Addr(), err
}

func TestAddressInUse(t *testing.T) {
	addr, inUse := listen(t, "tcp", "127.0.0.1:0")
	socket, socketInUse := listen(t, "unix", t.TempDir()+"/socket")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"as it is":   {inUse, addr.String()},
		"wrapped":    {fmt.Errorf("failed to start %q receiver: %w", "otlp", inUse), addr.String()},
		"joined":     {errors.Join(errors.New("other"), inUse), addr.String()},
		"with more":  {fmt.Errorf("start: %w", multierr.Combine(inUse, errors.New("while shutting down"))), addr.String()},
		"after more": {multierr.Combine(errors.New("other"), fmt.Errorf("start: %w", inUse)), addr.String()},
		"a socket":   {socketInUse, socket.String()},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := AddressInUse(test.err)
			require.True(t, ok)
			require.Equal(t, test.want, got.String())
		})
	}
}

func TestAddressNotInUse(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4317}
	inUse := os.NewSyscallError("bind", syscall.EADDRINUSE)
	_, noSuchAddress := new(net.ListenConfig).Listen(t.Context(), "tcp", "192.0.2.1:4317")
	require.Error(t, noSuchAddress)
	_, refused := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:1")
	require.Error(t, refused)

	for name, err := range map[string]error{
		"none":             nil,
		"another error":    errors.New("bind: address already in use"),
		"another cause":    noSuchAddress,
		"a connection":     refused,
		"not by listening": &net.OpError{Op: "dial", Addr: local, Err: inUse},
		"without address":  &net.OpError{Op: "listen", Err: inUse},
		"without listener": inUse,
		"of two, neither": errors.Join(
			&net.OpError{Op: "listen", Addr: local, Err: os.NewSyscallError("bind", syscall.EACCES)}, inUse),
	} {
		t.Run(name, func(t *testing.T) {
			addr, ok := AddressInUse(err)
			require.False(t, ok, "%v", err)
			require.Nil(t, addr)
		})
	}
}

func TestTake(t *testing.T) {
	var p Ports
	require.True(t, p.Take(tcp(4317)))
	require.False(t, p.Take(tcp(4317)), "it would not help a second time")
	require.False(t, p.Take(&net.TCPAddr{IP: net.IPv6loopback, Port: 4317}), "the address does not matter")
	require.True(t, p.Take(tcp(4318)))
	require.False(t, p.Take(&net.UnixAddr{Name: "/tmp/socket", Net: "unix"}), "there is no port to take")
}

func tcp(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

func TestConvert(t *testing.T) {
	for name, test := range map[string]struct {
		taken    []int
		in, want string
		gone     []string
	}{
		"one protocol at its default port": {
			taken: []int{4317},
			in: `
receivers: {otlp: {protocols: {grpc: , http: {include_metadata: true}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
			want: `
receivers: {otlp: {protocols: {http: {include_metadata: true}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
			gone: []string{"receivers::otlp::protocols::grpc"},
		},
		"one protocol at a port of its own": {
			taken: []int{5000},
			in: `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:4317"}, http: {endpoint: "[::1]:5000"}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
			want: `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:4317"}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
			gone: []string{"receivers::otlp::protocols::http"},
		},
		"not the default port where another one is set": {
			taken: []int{4317, 4318},
			in: `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:14317"}, http: {endpoint: "localhost:14318"}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
			want: `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:14317"}, http: {endpoint: "localhost:14318"}}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
`,
		},
		"all protocols": {
			taken: []int{4317, 4318},
			in: `
receivers: {otlp: {protocols: {grpc: {}, http: {}}}, telemetryapi: }
exporters: {nop: }
service:
  telemetry: {logs: {level: debug}}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
    logs: {receivers: [otlp, telemetryapi], processors: [batch], exporters: [nop]}
`,
			want: `
receivers: {telemetryapi: }
exporters: {nop: }
service:
  telemetry: {logs: {level: debug}}
  pipelines:
    logs: {receivers: [telemetryapi], processors: [batch], exporters: [nop]}
`,
			gone: []string{"receivers::otlp::protocols::grpc", "receivers::otlp::protocols::http"},
		},
		"a receiver with an endpoint": {
			taken: []int{9411},
			in: `
receivers: {zipkin: {endpoint: "0.0.0.0:9411"}, zipkin/2: {endpoint: "0.0.0.0:19411"}}
service: {pipelines: {traces: {receivers: [zipkin, zipkin/2]}, traces/2: {receivers: [zipkin]}}}
`,
			want: `
receivers: {zipkin/2: {endpoint: "0.0.0.0:19411"}}
service: {pipelines: {traces: {receivers: [zipkin/2]}}}
`,
			gone: []string{"receivers::zipkin"},
		},
		"nothing is left": {
			taken: []int{4318},
			in: `
receivers: {otlp: {protocols: {http: }}}
service: {extensions: [lambda], pipelines: {traces: {receivers: [otlp]}, logs: {receivers: [otlp]}}}
`,
			want: `
receivers: {}
service: {extensions: [lambda], pipelines: {}}
`,
			gone: []string{"receivers::otlp::protocols::http"},
		},
		"a connector that is still fed": {
			taken: []int{4318},
			in: `
receivers: {otlp: {protocols: {http: }}, telemetryapi: }
connectors: {count: }
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [count]}
    logs: {receivers: [telemetryapi], exporters: [count]}
    metrics: {receivers: [otlp, count], exporters: [nop]}
`,
			want: `
receivers: {telemetryapi: }
connectors: {count: }
service:
  pipelines:
    logs: {receivers: [telemetryapi], exporters: [count]}
    metrics: {receivers: [count], exporters: [nop]}
`,
			gone: []string{"receivers::otlp::protocols::http"},
		},
		"connectors that nobody feeds any more": {
			taken: []int{4318},
			in: `
receivers: {otlp: {protocols: {http: }}, telemetryapi: }
connectors: {spanmetrics: , forward: }
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [spanmetrics]}
    metrics: {receivers: [spanmetrics], exporters: [forward]}
    metrics/2: {receivers: [telemetryapi, forward], exporters: [nop]}
    metrics/3: {receivers: [forward], exporters: [nop]}
`,
			want: `
receivers: {telemetryapi: }
connectors: {spanmetrics: , forward: }
service:
  pipelines:
    metrics/2: {receivers: [telemetryapi], exporters: [nop]}
`,
			gone: []string{"receivers::otlp::protocols::http"},
		},
		"odd shapes beside it": {
			taken: []int{4318},
			in: `
receivers:
  {otlp: {protocols: {http: }}, a: , b: 7, c: [x], d: {protocols: x, endpoint: 4318}, e: {protocols: {}},
  f: {protocols: {http: 4318, x: }, endpoint: }}
connectors: text
service: {pipelines: {traces: {receivers: [otlp, a, 5, {b: }]}, logs: {receivers: otlp}, metrics: , odd: [otlp]}}
`,
			want: `
receivers: {a: , b: 7, c: [x], d: {protocols: x, endpoint: 4318}, e: {protocols: {}}, f: {protocols: {x: }, endpoint: }}
connectors: text
service: {pipelines: {traces: {receivers: [a]}, logs: {receivers: otlp}, metrics: , odd: [otlp]}}
`,
			gone: []string{"receivers::f::protocols::http", "receivers::otlp::protocols::http"},
		},
		"no receivers":        {taken: []int{4318}, in: `{exporters: {nop: }}`, want: `{exporters: {nop: }}`},
		"receivers is a list": {taken: []int{4318}, in: `{receivers: [otlp]}`, want: `{receivers: [otlp]}`},
		"nothing taken": {
			in:   `{receivers: {otlp: {protocols: {grpc: }}, "": }, service: {pipelines: {traces: {receivers: [unknown]}}}}`,
			want: `{receivers: {otlp: {protocols: {grpc: }}, "": }, service: {pipelines: {traces: {receivers: [unknown]}}}}`,
		},
		"taken by none of them": {
			taken: []int{13133},
			in:    `{receivers: {otlp: {protocols: {grpc: }}}, service: {pipelines: {traces: {receivers: [unknown]}}}}`,
			want:  `{receivers: {otlp: {protocols: {grpc: }}}, service: {pipelines: {traces: {receivers: [unknown]}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p Ports
			for _, port := range test.taken {
				require.True(t, p.Take(tcp(port)))
			}
			conf := parse(t, test.in)
			require.NoError(t, p.Convert(t.Context(), conf))
			want := parse(t, test.want).ToStringMap()
			require.Equal(t, want, conf.ToStringMap())
			require.Equal(t, test.gone, p.Gone())

			require.NoError(t, p.Convert(t.Context(), conf))
			require.Equal(t, want, conf.ToStringMap(), "a second time changes nothing")
			require.Empty(t, p.Gone())
		})
	}
}

func parse(t *testing.T, text string) *confmap.Conf {
	t.Helper()
	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &config))
	return confmap.NewFromStringMap(config)
}

// The collector resolves a configuration with our converter in it again and again, with more ports taken each time.
func TestResolve(t *testing.T) {
	t.Setenv("TEST_TOKEN", "0123")
	t.Setenv("TEST_ENDPOINT", "localhost:5317")
	t.Setenv("TEST_PROTOCOLS", "{grpc: {endpoint: 'localhost:6317'}, http: }")
	var p Ports
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{`yaml:
receivers:
  otlp: {protocols: {grpc: {endpoint: "${env:TEST_ENDPOINT}"}, http: }}
  otlp/2: {protocols: "${env:TEST_PROTOCOLS}"}
exporters: {otlp_http: {headers: {token: "${env:TEST_TOKEN}"}}}
service: {pipelines: {traces: {receivers: [otlp, otlp/2], exporters: [otlp_http]}}}
`},
		ProviderFactories:  []confmap.ProviderFactory{envprovider.NewFactory(), yamlprovider.NewFactory()},
		ConverterFactories: []confmap.ConverterFactory{p.NewFactory()},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, resolver.Shutdown(context.Background())) })

	for _, step := range []struct {
		port      int // taken before
		gone      []string
		protocols map[string][]string
	}{
		{0, nil, map[string][]string{"otlp": {"grpc", "http"}, "otlp/2": {"grpc", "http"}}},
		{
			5317, []string{"receivers::otlp::protocols::grpc"},
			map[string][]string{"otlp": {"http"}, "otlp/2": {"grpc", "http"}},
		},
		{
			4318,
			[]string{"receivers::otlp::protocols::grpc", "receivers::otlp::protocols::http", "receivers::otlp/2::protocols::http"},
			map[string][]string{"otlp/2": {"grpc"}},
		},
	} {
		if step.port != 0 {
			require.True(t, p.Take(tcp(step.port)))
		}
		conf, err := resolver.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, step.gone, p.Gone())

		var config struct {
			Receivers map[string]struct {
				Protocols map[string]any `mapstructure:"protocols"`
			} `mapstructure:"receivers"`
			Exporters struct {
				OTLPHTTP struct {
					Headers map[string]string `mapstructure:"headers"`
				} `mapstructure:"otlp_http"`
			} `mapstructure:"exporters"`
			Service struct {
				Pipelines struct {
					Traces struct {
						Receivers []string `mapstructure:"receivers"`
					} `mapstructure:"traces"`
				} `mapstructure:"pipelines"`
			} `mapstructure:"service"`
		}
		require.NoError(t, conf.Unmarshal(&config, confmap.WithIgnoreUnused()))
		require.Equal(t, "0123", config.Exporters.OTLPHTTP.Headers["token"], "a text that looks like a number stays one")
		protocols := map[string][]string{}
		for name, receiver := range config.Receivers {
			for _, protocol := range []string{"grpc", "http"} {
				if _, ok := receiver.Protocols[protocol]; ok {
					protocols[name] = append(protocols[name], protocol)
				}
			}
		}
		require.Equal(t, step.protocols, protocols)
		require.Len(t, config.Service.Pipelines.Traces.Receivers, len(protocols))
	}
}
