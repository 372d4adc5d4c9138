// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/otlpsink"
)

const (
	envEndpoint    = "OTELCOL_LAMBDA_OTLP_ENDPOINT"
	envSDKEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

	// attributeType is on every log record that is made from an event of the Telemetry API.
	attributeType = "type"
	typeFunction  = "function"
)

// backend is where the layer sends to, and what stands between the function and the layer to see what is sent.
type backend struct {
	sink *otlpsink.Sink
	tap  *otlpsink.Tap // nil when the function sends to the layer directly
}

// backendSettings are the flags about it.
type backendSettings struct {
	httpAddr, grpcAddr string
	faults             string
	tap                bool
	target             string
}

func startBackend(ctx context.Context, set backendSettings) (*backend, error) {
	faults, err := otlpsink.ParseFaults(set.faults)
	if err != nil {
		return nil, fmt.Errorf("--backend-faults: %w", err)
	}
	b := &backend{sink: otlpsink.New(otlpsink.Options{
		HTTPAddr: set.httpAddr, GRPCAddr: set.grpcAddr, Faults: faults,
	})}
	if err := b.sink.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the backend: %w", err)
	}
	if !set.tap {
		return b, nil
	}
	b.tap = otlpsink.NewTap(otlpsink.TapOptions{Target: set.target})
	if err := b.tap.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the tap: %w", err), b.sink.Close())
	}
	return b, nil
}

func (b *backend) close() error {
	if b.tap == nil {
		return b.sink.Close()
	}
	return errors.Join(b.tap.Close(), b.sink.Close())
}

// environment adds the variables that point the layer and the function here.
func (b *backend) environment(env map[string]string) {
	env[envEndpoint] = b.sink.HTTPEndpoint()
	if b.tap != nil {
		env[envSDKEndpoint] = b.tap.Endpoint()
	}
}

// account sets what the layer took from the function and from Lambda against what arrived.
type account struct {
	// SDK is about what the function sent over OTLP, item by item. It is nil without a tap.
	SDK *lambdasim.Ledger `json:"sdk,omitempty"`
	// Accepted is the number of items the layer took from the function.
	Accepted int `json:"accepted"`
	// FunctionLines and FunctionRecords are the lines of the function that Lambda handed to the layer, and the log
	// records that arrived for them.
	FunctionLines   int `json:"functionLines"`
	FunctionRecords int `json:"functionRecords"`
	// Lost and Duplicated are the sums.
	Lost       int `json:"lost"`
	Duplicated int `json:"duplicated"`
}

func (b *backend) account(report lambdasim.Report) account {
	var a account
	if b.tap != nil {
		accepted := b.tap.Identities()
		for _, n := range accepted {
			a.Accepted += n
		}
		ledger := lambdasim.Account(accepted, b.sink.Identities())
		ledger.Unexpected = nil // what comes from Lambda itself never passed the tap
		a.SDK = &ledger
		a.Lost, a.Duplicated = len(ledger.Lost), len(ledger.Duplicated)
	}
	for _, t := range report.Telemetry {
		a.FunctionLines += t.Events[typeFunction].Delivered
	}
	for _, r := range b.sink.LogRecords() {
		if v, ok := r.Attributes().Get(attributeType); ok && v.Str() == typeFunction {
			a.FunctionRecords++
		}
	}
	// A configuration without the telemetryapi receiver takes no lines, so none are missed.
	if a.FunctionRecords > 0 || a.FunctionLines > 0 {
		a.Lost += max(a.FunctionLines-a.FunctionRecords, 0)
		a.Duplicated += max(a.FunctionRecords-a.FunctionLines, 0)
	}
	return a
}
