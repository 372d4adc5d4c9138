// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
)

func create(t *testing.T) extension.Extension {
	t.Helper()
	factory := NewFactory()
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(t, err)
	return ext
}

func TestFactory(t *testing.T) {
	factory := NewFactory()
	require.Equal(t, component.MustNewType("lambda"), factory.Type())
	require.Equal(t, component.StabilityLevelAlpha, factory.Stability())
}

func TestShutdownWithoutStart(t *testing.T) {
	ext := create(t)
	require.NoError(t, ext.Shutdown(t.Context()))
	require.NoError(t, ext.Shutdown(t.Context()))
}

// Outside Lambda the extension is there and does nothing, so that one configuration serves everywhere.
func TestOutsideLambda(t *testing.T) {
	t.Setenv(envRuntimeAPI, "")
	ext := create(t)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, ext.(extensioncapabilities.PipelineWatcher).Ready())

	lifecycle := ext.(Lifecycle)
	require.Equal(t, ScheduleContinuous, lifecycle.Schedule())
	require.Equal(t, extensionsapi.Registration{}, lifecycle.Registration())
	require.True(t, lifecycle.ShutdownDeadline().IsZero())
	cancel, err := lifecycle.SubscribeTelemetry(TelemetrySubscriber{})
	require.NoError(t, err)
	cancel()
	lifecycle.Join(&fakeParticipant{})()

	require.NoError(t, ext.(extensioncapabilities.PipelineWatcher).NotReady())
	require.NoError(t, ext.Shutdown(t.Context()))
	require.NoError(t, ext.Shutdown(t.Context()))
}

// The options belong to the factory: one collector after another gets them, each with an extension of its own.
func TestFactoryMakesIndependentExtensions(t *testing.T) {
	t.Setenv(envRuntimeAPI, "")
	factory := NewFactory(WithSession(func(context.Context) (*extensionsapi.Session, error) {
		return nil, context.Canceled
	}))
	var schedules []Schedule
	for range 2 {
		ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
		require.NoError(t, err)
		schedules = append(schedules, ext.(Lifecycle).Schedule())
		require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
		schedules = append(schedules, ext.(Lifecycle).Schedule())
		require.NoError(t, ext.Shutdown(t.Context()))
	}
	require.Equal(t, []Schedule{ScheduleContinuous, ScheduleFlush, ScheduleContinuous, ScheduleFlush}, schedules)
}

type hostWithExtensions struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h hostWithExtensions) GetExtensions() map[component.ID]component.Component { return h.extensions }

func TestFindLifecycle(t *testing.T) {
	_, ok := FindLifecycle(componenttest.NewNopHost())
	require.False(t, ok)

	other, err := extensiontest.NewNopFactory().Create(t.Context(), extensiontest.NewNopSettings(extensiontest.NopType), nil)
	require.NoError(t, err)
	ext := create(t)
	host := hostWithExtensions{componenttest.NewNopHost(), map[component.ID]component.Component{
		component.NewID(extensiontest.NopType):           other,
		component.NewIDWithName(componentType, "a_name"): ext,
	}}
	lifecycle, ok := FindLifecycle(host)
	require.True(t, ok)
	require.Same(t, ext, lifecycle)
}
