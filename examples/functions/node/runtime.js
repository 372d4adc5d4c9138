// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Does what Lambda's Node.js runtime does, as far as this function needs it, where that runtime is not: it loads the
// handler, calls it for each invocation, and gives console lines the runtime's form. Not needed in Lambda.

'use strict';

const http = require('node:http');
const path = require('node:path');
const { format } = require('node:util');

const [apiHost, apiPort] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

// No request has a timeout: between invocations the environment is frozen, for as long as it likes.
function call(method, route, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const options = { agent, headers, host: apiHost, method, path: `/2018-06-01/runtime/${route}`, port: apiPort };
    const request = http.request(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode >= 400) {
          reject(new Error(`${method} ${route}: status ${response.statusCode}: ${Buffer.concat(chunks)}`));
          return;
        }
        resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

const inJSON = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
let requestId = '-';

function logLine(level, args) {
  const timestamp = new Date().toISOString();
  if (!inJSON) {
    return `${timestamp}\t${requestId}\t${level}\t${format(...args)}`;
  }
  // Something alone stays what it is.
  const message = args.length === 1 ? args[0] : format(...args);
  return JSON.stringify({ timestamp, level, requestId, message }, (_, value) =>
    value instanceof Error
      ? { errorType: value.name, errorMessage: value.message, stackTrace: value.stack.split('\n') }
      : value,
  );
}

function patchConsole() {
  const levels = { debug: 'DEBUG', error: 'ERROR', info: 'INFO', log: 'INFO', trace: 'TRACE', warn: 'WARN' };
  for (const [name, level] of Object.entries(levels)) {
    // A carriage return in place of the newline keeps several lines of text one log line.
    console[name] = (...args) => process.stdout.write(`${logLine(level, args).replaceAll('\n', '\r')}\n`);
  }
}

// postError tells Lambda about an error and logs it.
async function postError(route, text, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const about = { errorType: error.name, errorMessage: error.message };
  const stack = error.stack.split('\n');
  if (inJSON) {
    console.error(error);
  } else {
    console.error(text, `\t${JSON.stringify({ ...about, stack })}`);
  }
  await call('POST', route, JSON.stringify({ ...about, trace: stack }), {
    'Lambda-Runtime-Function-Error-Type': error.name,
  });
}

async function loadHandler() {
  try {
    const [file, name] = process.env._HANDLER.split('.');
    const handler = require(path.resolve(process.env.LAMBDA_TASK_ROOT, file))[name];
    if (typeof handler !== 'function') {
      throw new TypeError(`${process.env._HANDLER} is not a function`);
    }
    return handler;
  } catch (error) {
    await postError('init/error', 'Init Error', error);
    return process.exit(1);
  }
}

function newContext(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    awsRequestId: requestId,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    getRemainingTimeInMillis: () => Math.max(deadline - Date.now(), 0),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  };
}

async function invoke(handler) {
  const { headers, body } = await call('GET', 'invocation/next');
  requestId = headers['lambda-runtime-aws-request-id'];
  process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
  let result;
  try {
    result = await handler(JSON.parse(body), newContext(headers));
  } catch (error) {
    await postError(`invocation/${requestId}/error`, 'Invoke Error', error);
    return;
  }
  await call('POST', `invocation/${requestId}/response`, JSON.stringify(result ?? null));
}

async function main() {
  patchConsole();
  const handler = await loadHandler();
  for (;;) {
    await invoke(handler);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
