// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package selftelemetry

import (
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/service/telemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Option changes what a factory does.
type Option func(*settings)

type settings struct {
	level  zapcore.Level
	stdout zapcore.WriteSyncer
	stderr zapcore.WriteSyncer
	clock  zapcore.Clock
	// demoted are beginnings of messages.
	demoted []string
}

// WithDefaultLevel sets the level that holds where `service::telemetry::logs::level` is not set. It is info by default.
func WithDefaultLevel(level zapcore.Level) Option {
	return func(s *settings) { s.level = level }
}

// WithDemoted has lines logged at debug whose message begins with one of the prefixes: lines that other components'
// authors wrote for a setting that is not this one, and that would lead a user astray.
func WithDemoted(prefixes ...string) Option {
	return func(s *settings) { s.demoted = append(s.demoted, prefixes...) }
}

// WithOutput writes to the two given writers instead of the process's stdout and stderr.
func WithOutput(stdout, stderr zapcore.WriteSyncer) Option {
	return func(s *settings) { s.stdout, s.stderr = stdout, stderr }
}

// NewFactory returns the factory of the collector's own telemetry: a logger, and providers of metrics and traces that
// record nothing.
func NewFactory(opts ...Option) telemetry.Factory {
	set := settings{level: zapcore.InfoLevel, stdout: os.Stdout, stderr: os.Stderr, clock: zapcore.DefaultClock}
	for _, opt := range opts {
		opt(&set)
	}
	// The noop providers are those telemetry.NewFactory falls back to.
	return telemetry.NewFactory(
		set.createDefaultConfig,
		telemetry.WithCreateResource(createResource),
		telemetry.WithCreateLogger(set.createLogger),
	)
}

func (s settings) createDefaultConfig() component.Config {
	return &Config{
		Logs: LogsConfig{
			Level:             s.level.String(),
			Encoding:          encodingJSON,
			DisableCaller:     true,
			DisableStacktrace: true,
			OutputPaths:       []string{pathStdout},
			ErrorOutputPaths:  []string{pathStderr},
		},
	}
}

func createResource(_ context.Context, set telemetry.Settings, cfg component.Config) (pcommon.Resource, string, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return pcommon.Resource{}, "", fmt.Errorf("`%s` is a %T, not the configuration of this factory", section, cfg)
	}
	return newResource(set.BuildInfo, c.Resource.Attributes), c.Resource.SchemaURL, nil
}

// createLogger does not use set.BuildZapLogger: it would open its outputs through zap's registry of sinks, and build an
// encoder from a registry of its own, for what is a plain core on stdout.
func (s settings) createLogger(
	_ context.Context,
	_ telemetry.LoggerSettings,
	cfg component.Config,
) (*zap.Logger, component.ShutdownFunc, error) {
	c, ok := cfg.(*Config)
	if !ok {
		return nil, nil, fmt.Errorf("`%s` is a %T, not the configuration of this factory", section, cfg)
	}
	logger, err := s.newLogger(&c.Logs)
	if err != nil {
		return nil, nil, err
	}
	if warning := ignoredWarning(c.ignored); warning != "" {
		logger.Warn(warning)
	}
	return logger, func(context.Context) error {
		// stdout of an extension is a pipe, which cannot be synced; the error says nothing about the lines.
		_ = logger.Sync()
		return nil
	}, nil
}

func ignoredWarning(keys []string) string {
	switch len(keys) {
	case 0:
		return ""
	case 1:
		return keys[0] + " is not supported by this distribution and is ignored"
	default:
		last := len(keys) - 1
		return strings.Join(keys[:last], ", ") + " and " + keys[last] +
			" are not supported by this distribution and are ignored"
	}
}
