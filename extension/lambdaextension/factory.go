// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"net"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
)

var componentType = component.MustNewType("lambda")

// SessionFunc returns the registered session, waiting for it until ctx ends. It is called several times, and returns
// the same session each time.
type SessionFunc func(ctx context.Context) (*extensionsapi.Session, error)

// Option changes how the extension lives in its process.
type Option func(*settings)

type settings struct {
	session SessionFunc
	stop    func(deadline time.Time)
	listen  func() (net.Listener, error)
}

// WithSession gives the extension a session that somebody else registers and keeps, so that registering need not wait
// for the collector's configuration and the session outlives a collector that fails. Without it, the extension
// registers in Start.
func WithSession(session SessionFunc) Option {
	return func(s *settings) { s.session = session }
}

// WithStop is called when Lambda ends the environment and everything that could be delivered is: the process must stop
// the collector and exit before the deadline. It must not wait for the collector to stop. Without it, the extension
// sends its process a SIGTERM, upon which a collector shuts down.
func WithStop(stop func(deadline time.Time)) Option {
	return func(s *settings) { s.stop = stop }
}

// WithTelemetryListener gives the extension a listener for Lambda's events that somebody else has opened, whatever port
// a receiver asks for. Without it, and when it returns nil, the extension opens one.
func WithTelemetryListener(listen func() (net.Listener, error)) Option {
	return func(s *settings) { s.listen = listen }
}

// NewFactory returns the factory of the lambda extension.
func NewFactory(options ...Option) extension.Factory {
	var set settings
	for _, option := range options {
		option(&set)
	}
	return extension.NewFactory(componentType, createDefaultConfig,
		func(_ context.Context, s extension.Settings, cfg component.Config) (extension.Extension, error) {
			return newExtension(s.Logger, cfg.(*Config), set), nil
		},
		component.StabilityLevelAlpha)
}
