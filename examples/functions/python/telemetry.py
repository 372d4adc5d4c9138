# Copyright The otelcol-lambda Authors
# SPDX-License-Identifier: Apache-2.0
"""Sets OpenTelemetry up when it is imported."""

import math
import os

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.extension.aws.resource import AwsLambdaResourceDetector
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource, get_aggregated_resources
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# The invocation waits for the flush. The collector is on the same machine and answers in milliseconds, unless something
# is wrong with it.
EXPORT_TIMEOUT_S = 1


def _resource():
    name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "unknown_service")
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come last and win.
    detectors = [AwsLambdaResourceDetector(), OTELResourceDetector()]
    return get_aggregated_resources(detectors, initial_resource=Resource.create({"service.name": name}))


# The exporters send to http://localhost:4318, where the layer listens, unless OTEL_EXPORTER_OTLP_ENDPOINT says otherwise.
resource = _resource()
tracer_provider = TracerProvider(resource=resource)
tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)))
trace.set_tracer_provider(tracer_provider)

# No interval: metrics are flushed with each invocation, and between invocations the environment is frozen anyway.
reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=EXPORT_TIMEOUT_S), export_interval_millis=math.inf)
meter_provider = MeterProvider(resource=resource, metric_readers=[reader])
metrics.set_meter_provider(meter_provider)
