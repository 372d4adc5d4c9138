// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaconverter

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
)

// lookupEnv is os.LookupEnv or a stand-in.
type lookupEnv func(name string) (value string, ok bool)

// Option changes what a factory does.
type Option func(*converter)

// WithLookupEnv reads environment variables through the function instead of os.LookupEnv.
func WithLookupEnv(lookup func(name string) (value string, ok bool)) Option {
	return func(c *converter) { c.lookup = lookup }
}

// WithLogger logs to the logger instead of the one that the collector passes, which keeps lines for itself until it has
// started, and so for ever when it only validates.
func WithLogger(logger *zap.Logger) Option {
	return func(c *converter) { c.logger = logger }
}

// NewFactory returns a factory of converters that make a configuration Lambda-safe.
func NewFactory(opts ...Option) confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(set confmap.ConverterSettings) confmap.Converter {
		c := &converter{logger: set.Logger, lookup: os.LookupEnv}
		if c.logger == nil {
			c.logger = zap.NewNop()
		}
		for _, opt := range opts {
			opt(c)
		}
		return c
	})
}

type converter struct {
	logger *zap.Logger
	lookup lookupEnv
}

// Convert changes conf in place and logs what it changed.
func (c *converter) Convert(_ context.Context, conf *confmap.Conf) error {
	if err := expandSections(conf); err != nil {
		return fmt.Errorf("lambda converter: %w", err)
	}
	root := conf.ToStringMap()
	if root == nil {
		root = map[string]any{}
	}
	restoreHeaderTexts(conf, root)
	changes := convert(root, c.lookup)
	if err := apply(changes, conf); err != nil {
		return fmt.Errorf("lambda converter: %w", err)
	}
	for _, change := range changes {
		if entry := c.logger.Check(change.Level, change.Message); entry != nil {
			entry.Write(change.Fields...)
		}
	}
	return nil
}
