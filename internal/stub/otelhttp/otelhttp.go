// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package otelhttp is where the collector's HTTP servers and clients record spans and metrics of their own requests.
//
// This distribution records neither: service::telemetry gives no-op providers, and no propagator is set. The original asks
// no provider whether it is one. For each request it clones it, wraps both bodies, and computes some thirty attributes
// twice, which takes as long as the request itself when that is as small as those of a function are. Here nothing is done.
package otelhttp

import (
	"net/http"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Option is what would be recorded, and where. None has an effect.
type Option struct{}

// WithTracerProvider names the provider of the spans that are not recorded.
func WithTracerProvider(trace.TracerProvider) Option { return Option{} }

// WithMeterProvider names the provider of the metrics that are not recorded.
func WithMeterProvider(metric.MeterProvider) Option { return Option{} }

// WithPropagators names what would carry spans from process to process.
func WithPropagators(propagation.TextMapPropagator) Option { return Option{} }

// WithSpanNameFormatter names the spans that are not recorded.
func WithSpanNameFormatter(func(operation string, r *http.Request) string) Option { return Option{} }

// NewHandler returns handler.
func NewHandler(handler http.Handler, _ string, _ ...Option) http.Handler { return handler }

// NewTransport returns base, or http.DefaultTransport where that is nil.
func NewTransport(base http.RoundTripper, _ ...Option) http.RoundTripper {
	if base == nil {
		return http.DefaultTransport
	}
	return base
}
