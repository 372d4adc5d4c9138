// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package otelgrpc is where the collector's gRPC servers and clients record spans and metrics of their own calls.
//
// This distribution records neither: service::telemetry gives no-op providers, and no propagator is set. The original asks
// no provider whether it is one, and computes the attributes of both for each call. Here nothing is done.
package otelgrpc

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"
)

// Option is what would be recorded, and where. None has an effect.
type Option struct{}

// WithTracerProvider names the provider of the spans that are not recorded.
func WithTracerProvider(trace.TracerProvider) Option { return Option{} }

// WithMeterProvider names the provider of the metrics that are not recorded.
func WithMeterProvider(metric.MeterProvider) Option { return Option{} }

// WithPropagators names what would carry spans from process to process.
func WithPropagators(propagation.TextMapPropagator) Option { return Option{} }

// NewClientHandler returns a handler for the calls of a client, which does nothing.
func NewClientHandler(...Option) stats.Handler { return handler{} }

// NewServerHandler returns a handler for the calls to a server, which does nothing.
func NewServerHandler(...Option) stats.Handler { return handler{} }

// handler is not nil, which gRPC would log as an error.
type handler struct{}

func (handler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (handler) HandleRPC(context.Context, stats.RPCStats) {}

func (handler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (handler) HandleConn(context.Context, stats.ConnStats) {}
