// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Sets OpenTelemetry up. Loaded with --require, before the runtime loads the handler: the instrumentation puts itself
// around the handler when that is loaded.

'use strict';

const { metrics } = require('@opentelemetry/api');
const { OTLPMetricExporter } = require('@opentelemetry/exporter-metrics-otlp-proto');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { AwsLambdaInstrumentation } = require('@opentelemetry/instrumentation-aws-lambda');
const { awsLambdaDetector } = require('@opentelemetry/resource-detector-aws');
const { defaultResource, detectResources, envDetector, resourceFromAttributes } = require('@opentelemetry/resources');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');

// The invocation waits for the flush. The collector is on the same machine and answers in milliseconds, unless something
// is wrong with it.
const EXPORT_TIMEOUT_MS = 1000;

// Metrics are flushed with each invocation, and between invocations the environment is frozen: the reader's own timer is
// only in the way.
const METRIC_INTERVAL_MS = 3_600_000;

// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last and win.
const resource = defaultResource()
  .merge(resourceFromAttributes({ 'service.name': process.env.AWS_LAMBDA_FUNCTION_NAME }))
  .merge(detectResources({ detectors: [awsLambdaDetector, envDetector] }));

// The exporters send to http://localhost:4318, where the layer listens, unless OTEL_EXPORTER_OTLP_ENDPOINT says otherwise.
const tracerProvider = new NodeTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ timeoutMillis: EXPORT_TIMEOUT_MS }))],
});
tracerProvider.register();

const meterProvider = new MeterProvider({
  resource,
  readers: [
    new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ timeoutMillis: EXPORT_TIMEOUT_MS }),
      exportIntervalMillis: METRIC_INTERVAL_MS,
    }),
  ],
});
metrics.setGlobalMeterProvider(meterProvider);

// It flushes both providers before each invocation ends.
registerInstrumentations({ tracerProvider, meterProvider, instrumentations: [new AwsLambdaInstrumentation()] });
