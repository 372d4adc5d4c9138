# Copyright The otelcol-lambda Authors
# SPDX-License-Identifier: Apache-2.0
"""A Lambda function that checks out an order and tells OpenTelemetry about it."""

import json
import logging
import os
import time

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor

import telemetry

SCOPE_NAME = "otelcol-lambda-example-python"

tracer = trace.get_tracer(SCOPE_NAME)
orders = metrics.get_meter(SCOPE_NAME).create_counter("checkout.orders", unit="{order}", description="Orders received.")
log = logging.getLogger(__name__)
logging.getLogger().setLevel(logging.INFO)


def charge(event, order_id):
    """Stands for the function's work: takes event["sleepMs"] milliseconds, and fails if event["fail"] is set."""
    with tracer.start_as_current_span("charge", attributes={"order.id": order_id}):
        time.sleep(event.get("sleepMs", 5) / 1000)
        if event.get("fail"):
            raise RuntimeError("the card was declined")


def lambda_handler(event, context):
    """Handles one invocation."""
    order_id = event.get("orderId", context.aws_request_id)
    log.info("order %s received", order_id)
    orders.add(1)
    for i in range(event.get("lines", 0)):
        log.info("item %d of order %s", i + 1, order_id)
    charge(event, order_id)
    if event.get("crash"):
        os._exit(1)  # what has not been flushed is gone
    print(json.dumps({"level": "INFO", "message": "order charged", "order.id": order_id}))
    trace_id = trace.get_current_span().get_span_context().trace_id
    return {"orderId": order_id, "traceId": trace.format_trace_id(trace_id)}


# Puts itself around the handler that _HANDLER names, so it comes when the handler is there, and flushes both providers
# before each invocation ends.
AwsLambdaInstrumentor().instrument(
    tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider
)
