// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// order is the event. The fields after Headers steer tests.
type order struct {
	// ID is the request id when it is empty.
	ID string `json:"order_id"`
	// Cents is the price. It must not be negative.
	Cents int64 `json:"cents"`
	// Headers may carry the caller's trace context, as an event of API Gateway does.
	Headers map[string]string `json:"headers"`

	// SleepMS makes the charge take that many milliseconds.
	SleepMS int `json:"sleep_ms"`
	// Hang makes the charge take for ever, whatever the function's deadline says.
	Hang bool `json:"hang"`
	// Spans adds that many child spans.
	Spans int `json:"spans"`
	// Logs adds that many log lines.
	Logs int `json:"logs"`
	// Error makes the charge be declined.
	Error bool `json:"error"`
	// Panic makes the handler panic after the charge.
	Panic bool `json:"panic"`
	// Crash ends the process after the charge.
	Crash bool `json:"crash"`
}

// receipt is the answer.
type receipt struct {
	OrderID string `json:"order_id"`
	TraceID string `json:"trace_id"`
}

var (
	errNegativePrice = errors.New("the price is negative")
	errDeclined      = errors.New("the card was declined")
	errPanicked      = errors.New("the handler panicked")
)

// checkout is the function's work.
type checkout struct {
	tracer   trace.Tracer
	orders   metric.Int64Counter
	duration metric.Float64Histogram
	log      *slog.Logger
	exit     func(code int)
}

func newCheckout(tel *telemetry, exit func(int)) (*checkout, error) {
	meter := tel.metrics.Meter(scopeName)
	orders, err := meter.Int64Counter("checkout.orders",
		metric.WithUnit("{order}"), metric.WithDescription("Orders, by how they ended."))
	if err != nil {
		return nil, err
	}
	duration, err := meter.Float64Histogram("checkout.duration",
		metric.WithUnit("s"), metric.WithDescription("Time to check an order out."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err != nil {
		return nil, err
	}
	return &checkout{tel.traces.Tracer(scopeName), orders, duration, tel.log, exit}, nil
}

func (c *checkout) handle(ctx context.Context, o order) (_ receipt, err error) {
	start := time.Now()
	if lc, ok := lambdacontext.FromContext(ctx); ok && o.ID == "" {
		o.ID = lc.AwsRequestID
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attribute.String("order.id", o.ID))
	c.log.InfoContext(ctx, "order received", slog.String("order.id", o.ID), slog.Int64("order.cents", o.Cents))
	err = errPanicked // stays when nothing is returned
	defer func() {
		c.finish(ctx, span, o, time.Since(start), err)
	}()
	if err = c.process(ctx, o); err != nil {
		return receipt{}, err
	}
	return receipt{OrderID: o.ID, TraceID: span.SpanContext().TraceID().String()}, nil
}

func (c *checkout) process(ctx context.Context, o order) error {
	if err := c.validate(ctx, o); err != nil {
		return fmt.Errorf("validate order: %w", err)
	}
	if err := c.charge(ctx, o); err != nil {
		return fmt.Errorf("charge order: %w", err)
	}
	switch {
	case o.Panic:
		panic("asked for by the event")
	case o.Crash:
		c.exit(1)
	}
	c.store(ctx, o)
	return nil
}

// finish says how the order ended, in the span, the metrics and the log.
func (c *checkout) finish(ctx context.Context, span trace.Span, o order, took time.Duration, err error) {
	outcome := "stored"
	if err != nil {
		outcome = "failed"
		_ = fail(span, err)
		c.log.ErrorContext(ctx, "order failed", slog.String("order.id", o.ID), slog.String("error", err.Error()))
	} else {
		c.log.InfoContext(ctx, "order stored", slog.String("order.id", o.ID))
	}
	with := metric.WithAttributes(attribute.String("outcome", outcome))
	c.orders.Add(ctx, 1, with)
	c.duration.Record(ctx, took.Seconds(), with)
}

func (c *checkout) validate(ctx context.Context, o order) error {
	ctx, span := c.tracer.Start(ctx, "validate")
	defer span.End()
	for i := range o.Spans {
		_, item := c.tracer.Start(ctx, "validate item", trace.WithAttributes(attribute.Int("item", i)))
		item.End()
	}
	if o.Cents < 0 {
		return fail(span, errNegativePrice)
	}
	return nil
}

func (c *checkout) charge(ctx context.Context, o order) error {
	ctx, span := c.tracer.Start(ctx, "charge", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.Int64("order.cents", o.Cents)))
	defer span.End()
	for i := range o.Logs {
		c.log.InfoContext(ctx, "waiting for the bank", slog.Int("attempt", i))
	}
	if o.Hang {
		time.Sleep(math.MaxInt64)
	}
	wait := time.NewTimer(time.Duration(o.SleepMS) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return fail(span, context.Cause(ctx))
	}
	if o.Error {
		return fail(span, errDeclined)
	}
	return nil
}

func (c *checkout) store(ctx context.Context, o order) {
	_, span := c.tracer.Start(ctx, "store", trace.WithAttributes(attribute.String("order.id", o.ID)))
	defer span.End()
	span.AddEvent("stored")
}

// fail marks the span and returns the error.
func fail(span trace.Span, err error) error {
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	return err
}

// headersOfEvent finds the caller's trace context. An event without headers, or of another form, has none.
func headersOfEvent(event []byte) propagation.TextMapCarrier {
	var o struct {
		Headers map[string]string `json:"headers"`
	}
	_ = json.Unmarshal(event, &o)
	carrier := propagation.MapCarrier{}
	for name, value := range o.Headers {
		// Header names come in any case, and the propagator asks for lower case.
		carrier[strings.ToLower(name)] = value
	}
	return carrier
}
