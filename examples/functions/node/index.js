// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { SpanStatusCode, metrics, trace } = require('@opentelemetry/api');

const SCOPE_NAME = 'otelcol-lambda-example-node';

const tracer = trace.getTracer(SCOPE_NAME);
const orders = metrics.getMeter(SCOPE_NAME).createCounter('checkout.orders', {
  description: 'Orders received.',
  unit: '{order}',
});

// charge stands for the function's work: it takes event.sleepMs milliseconds, and fails if event.fail is set.
async function charge(event, orderId) {
  return tracer.startActiveSpan('charge', { attributes: { 'order.id': orderId } }, async (span) => {
    try {
      await sleep(event.sleepMs ?? 5);
      if (event.fail) {
        throw new Error('the card was declined');
      }
    } catch (error) {
      span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      throw error;
    } finally {
      span.end();
    }
  });
}

exports.handler = async (event, context) => {
  const orderId = event.orderId ?? context.awsRequestId;
  console.info('order %s received', orderId);
  orders.add(1);
  for (let i = 1; i <= (event.lines ?? 0); i++) {
    console.info('item %d of order %s', i, orderId);
  }
  await charge(event, orderId);
  if (event.crash) {
    process.exit(1); // what has not been flushed is gone
  }
  console.info(JSON.stringify({ message: 'order charged', 'order.id': orderId }));
  return { orderId, traceId: trace.getActiveSpan()?.spanContext().traceId };
};
