// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Command go is an AWS Lambda function that checks out an order and tells OpenTelemetry about it: traces, metrics and
// logs leave over OTLP/HTTP for the collector in the layer.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"go.opentelemetry.io/contrib/instrumentation/github.com/aws/aws-lambda-go/otellambda"
	"go.opentelemetry.io/otel"
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "checkout:", err)
		os.Exit(1)
	}
}

func start() error {
	// Lambda makes a log line of each line on stdout.
	stdout := newStdoutHandler(os.Stdout)
	tel, err := newTelemetry(context.Background(), stdout)
	if err != nil {
		return err
	}
	// What the SDK itself complains about is for stdout only: over OTLP it would complain about its own complaints.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		slog.New(stdout).Error("opentelemetry", slog.Any("error", err))
	}))
	h, err := newHandler(tel)
	if err != nil {
		return err
	}
	lambda.Start(h) // returns only by exiting
	return nil
}

// newHandler puts the official instrumentation around the checkout. It starts the SERVER span, and asks tel to flush when
// the handler has returned or panicked.
func newHandler(tel *telemetry) (lambda.Handler, error) {
	c, err := newCheckout(tel, os.Exit)
	if err != nil {
		return nil, err
	}
	return otellambda.WrapHandler(lambda.NewHandler(c.handle),
		otellambda.WithTracerProvider(tel.traces),
		otellambda.WithFlusher(tel),
		otellambda.WithPropagator(tel.propagator),
		otellambda.WithEventToCarrier(headersOfEvent),
	), nil
}
