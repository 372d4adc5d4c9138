// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestThrottle(t *testing.T) {
	plain := errors.New("503")
	for name, test := range map[string]struct {
		err  error
		want time.Duration
	}{
		"none":         {plain, 0},
		"one":          {exporterhelper.NewThrottleRetry(plain, 7*time.Second), 7 * time.Second},
		"joined":       {errors.Join(plain, exporterhelper.NewThrottleRetry(plain, time.Second), exporterhelper.NewThrottleRetry(plain, 1500*time.Millisecond)), 1500 * time.Millisecond},
		"for ever":     {exporterhelper.NewThrottleRetry(plain, 24*time.Hour), maxThrottle},
		"in the past":  {exporterhelper.NewThrottleRetry(plain, -time.Second), 0},
		"other text":   {errors.New("Throttle (soon), error: x"), 0},
		"cut off text": {errors.New("Throttle ("), 0},
	} {
		require.Equal(t, test.want, throttle(test.err), name)
	}
}

// deliver sends a span with an exporter as the converter configures it.
func deliver(t *testing.T, factory exporter.Factory, cfg map[string]any) error {
	t.Helper()
	config := factory.CreateDefaultConfig()
	cfg["retry_on_failure"] = map[string]any{"enabled": false}
	cfg["sending_queue"] = map[string]any{"enabled": false}
	require.NoError(t, confmap.NewFromStringMap(cfg).Unmarshal(config))
	e, err := factory.CreateTraces(t.Context(), exportertest.NewNopSettings(factory.Type()), config)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, e.Shutdown(context.WithoutCancel(t.Context()))) }()
	return e.ConsumeTraces(t.Context(), span("a"))
}

func TestThrottleOfHTTP(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for _, format := range []func() string{
			func() string { return "40" },
			func() string { return time.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat) },
		} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", format())
				w.WriteHeader(code)
			}))
			err := deliver(t, otlphttpexporter.NewFactory(), map[string]any{"endpoint": server.URL})
			server.Close()
			require.Error(t, err)
			require.InDelta(t, 40*time.Second, throttle(err), float64(10*time.Second))
		}
	}
}

type throttling struct {
	ptraceotlp.UnimplementedGRPCServer
}

func (*throttling) Export(context.Context, ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s, err := status.New(codes.Unavailable, "too much").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(40 * time.Second)})
	if err != nil {
		return ptraceotlp.NewExportResponse(), err
	}
	return ptraceotlp.NewExportResponse(), s.Err()
}

func TestThrottleOfGRPC(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &throttling{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	err = deliver(t, otlpexporter.NewFactory(), map[string]any{
		"endpoint": l.Addr().String(), "tls": map[string]any{"insecure": true},
	})
	server.Stop()
	require.NoError(t, <-served)
	require.Error(t, err)
	require.Equal(t, 40*time.Second, throttle(err))
}
