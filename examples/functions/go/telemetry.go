// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	lambdadetector "go.opentelemetry.io/contrib/detectors/aws/lambda"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

const (
	scopeName = "github.com/otelcol-lambda/otelcol-lambda/examples/functions/go"

	// collectorEndpoint is where the layer listens. The exporters' own default is the same host, but with TLS.
	collectorEndpoint = "http://localhost:4318"

	// flushTimeout bounds what telemetry may add to an invocation. The collector is on the same machine and answers
	// in milliseconds, unless something is wrong with it.
	flushTimeout = time.Second

	// metricInterval keeps the reader's own timer out of the way: it flushes with everything else, and between
	// invocations the environment is frozen anyway.
	metricInterval = time.Hour
)

// telemetry holds the OpenTelemetry providers of the function.
type telemetry struct {
	traces     *sdktrace.TracerProvider
	metrics    *sdkmetric.MeterProvider
	logs       *sdklog.LoggerProvider
	propagator propagation.TextMapPropagator

	// log writes to stdout and over OTLP.
	log *slog.Logger
	// local writes to stdout only.
	local *slog.Logger
}

// newTelemetry sets the providers up. It connects to nothing yet: the collector may still be starting.
func newTelemetry(ctx context.Context, stdout slog.Handler) (*telemetry, error) {
	res, err := newResource(ctx)
	if err != nil {
		return nil, err
	}
	tracing := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exports("TRACES") {
		traces, err := otlptracehttp.New(ctx, defaultEndpoint("TRACES", "traces", otlptracehttp.WithEndpointURL)...)
		if err != nil {
			return nil, fmt.Errorf("trace exporter: %w", err)
		}
		tracing = append(tracing, sdktrace.WithBatcher(traces))
	}
	metering := []sdkmetric.Option{sdkmetric.WithResource(res)}
	if exports("METRICS") {
		metrics, err := otlpmetrichttp.New(ctx, defaultEndpoint("METRICS", "metrics", otlpmetrichttp.WithEndpointURL)...)
		if err != nil {
			return nil, fmt.Errorf("metric exporter: %w", err)
		}
		metering = append(metering, sdkmetric.WithReader(
			sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(metricInterval))))
	}
	logging := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	if exports("LOGS") {
		logs, err := otlploghttp.New(ctx, defaultEndpoint("LOGS", "logs", otlploghttp.WithEndpointURL)...)
		if err != nil {
			return nil, fmt.Errorf("log exporter: %w", err)
		}
		logging = append(logging, sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	}

	t := &telemetry{
		traces:  sdktrace.NewTracerProvider(tracing...),
		metrics: sdkmetric.NewMeterProvider(metering...),
		logs:    sdklog.NewLoggerProvider(logging...),
		propagator: propagation.NewCompositeTextMapPropagator(
			propagation.TraceContext{}, propagation.Baggage{}),
	}
	bridge := otelslog.NewHandler(scopeName, otelslog.WithLoggerProvider(t.logs))
	t.log = slog.New(slog.NewMultiHandler(stdout, bridge))
	t.local = slog.New(stdout)
	return t, nil
}

// exports says whether a signal is sent at all. OTEL_METRICS_EXPORTER=none, and the same for TRACES and LOGS, is how
// OpenTelemetry's SDKs are told not to; Go's leaves it to the program.
func exports(signal string) bool { return os.Getenv("OTEL_"+signal+"_EXPORTER") != "none" }

// newResource says who sends: the attributes of the Lambda environment, the function's name as service.name, and over
// both whatever OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say.
func newResource(ctx context.Context) (*resource.Resource, error) {
	options := []resource.Option{resource.WithTelemetrySDK()}
	if name := os.Getenv("AWS_LAMBDA_FUNCTION_NAME"); name != "" {
		options = append(options,
			resource.WithAttributes(semconv.ServiceName(name)),
			resource.WithDetectors(lambdadetector.NewResourceDetector()))
	}
	res, err := resource.New(ctx, append(options, resource.WithFromEnv())...)
	// A part of the attributes is better than no telemetry.
	if err != nil && !errors.Is(err, resource.ErrPartialResource) && !errors.Is(err, resource.ErrSchemaURLConflict) {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return res, nil
}

// defaultEndpoint points an exporter to the layer unless the environment names an endpoint, which the exporter then reads
// by itself.
func defaultEndpoint[O any](variable, path string, withEndpointURL func(string) O) []O {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_" + variable + "_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return nil
		}
	}
	return []O{withEndpointURL(collectorEndpoint + "/v1/" + path)}
}

// ForceFlush hands everything to the collector, because Lambda may freeze the environment as soon as the handler has
// returned. It takes at most flushTimeout and never fails: the invocation matters more than what is told about it.
func (t *telemetry) ForceFlush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for name, flush := range map[string]func(context.Context) error{
		"traces": t.traces.ForceFlush, "metrics": t.metrics.ForceFlush, "logs": t.logs.ForceFlush,
	} {
		wg.Go(func() {
			if err := flush(ctx); err != nil {
				t.local.Error("telemetry not delivered", slog.String("signal", name), slog.Any("error", err))
			}
		})
	}
	wg.Wait()
	return nil
}

// Shutdown ends the providers.
func (t *telemetry) Shutdown(ctx context.Context) error {
	return errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx), t.logs.Shutdown(ctx))
}
