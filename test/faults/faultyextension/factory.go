// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package faultyextension

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
)

// NewFactory returns the factory of the `faulty` extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("faulty"),
		func() component.Config { return &struct{}{} },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return &faulty{process: current}, nil
		},
		component.StabilityLevelDevelopment)
}

// faulty gives the process its moments in the life of the collector.
type faulty struct {
	*process
	leave func()
}

var (
	_ extensioncapabilities.Dependent       = (*faulty)(nil)
	_ extensioncapabilities.PipelineWatcher = (*faulty)(nil)
	_ lambdaextension.Participant           = (*faulty)(nil)
)

// Dependencies implements extensioncapabilities.Dependent: the lambda extension starts first, and waits for the
// registration.
func (*faulty) Dependencies() []component.ID {
	return []component.ID{component.NewID(lambdaextension.NewFactory().Type())}
}

// Start is after registration and before the receivers.
func (f *faulty) Start(ctx context.Context, host component.Host) error {
	if f.process == nil {
		return errors.New(EnvDir + " is not set")
	}
	lifecycle, ok := lambdaextension.FindLifecycle(host)
	if !ok || lifecycle.Registration().FunctionName == "" {
		return errors.New("the collector is not registered")
	}
	f.trace(Registered, "-")
	f.leave = lifecycle.Join(f)
	if f.is(AfterRegister) {
		f.perform(context.WithoutCancel(ctx))
	}
	return nil
}

// Shutdown implements component.Component.
func (f *faulty) Shutdown(context.Context) error {
	if f.leave != nil {
		f.leave()
	}
	return nil
}

// Ready implements extensioncapabilities.PipelineWatcher.
func (f *faulty) Ready() error {
	f.trace(Running, "-")
	return nil
}

// NotReady implements extensioncapabilities.PipelineWatcher.
func (*faulty) NotReady() error { return nil }

// Drain does not return once NextNever has begun. The lambda extension drains one component after the other before it
// asks for the next event, so one that hangs is all it takes. Until then it claims that there was something, so that a
// flush which is under way comes back here: NextNever can begin in the middle of one.
func (f *faulty) Drain(context.Context) (moved bool) {
	if f.stuck.Load() {
		f.trace(Done, "a drain does not return")
		forever()
	}
	return f.fault == NextNever
}

// Flush has nothing to do.
func (*faulty) Flush(context.Context) error { return nil }
