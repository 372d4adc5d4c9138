// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/service"
)

// Check says whether a collector could be built from the configuration: all of it is read, and the pipelines are put
// together without being started. Errors wrap ErrLocate, ErrGet or ErrInvalid, or are about the pipelines.
func Check(ctx context.Context, set Settings) (err error) {
	return set.withConfig(ctx, func(cfg *otelcol.Config) error {
		return service.Validate(ctx, set.service(cfg), service.Config{Pipelines: cfg.Service.Pipelines})
	})
}

// Config returns what a collector would run: the configuration as the converters have left it, with defaults, and without
// what components declare to be secret. Errors are those of Check.
func Config(ctx context.Context, set Settings) (values map[string]any, err error) {
	err = set.withConfig(ctx, func(cfg *otelcol.Config) error {
		conf := confmap.New()
		if err := conf.Marshal(cfg); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		values = conf.ToStringMap()
		return nil
	})
	return values, err
}

// withConfig calls use with the configuration, which is read for it and found valid.
func (set Settings) withConfig(ctx context.Context, use func(*otelcol.Config) error) (err error) {
	provider, err := set.provider()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Shutdown(ctx)) }()
	cfg, err := set.config(ctx, provider)
	if err != nil {
		return err
	}
	return use(cfg)
}

func (set Settings) provider() (*otelcol.ConfigProvider, error) {
	if set.Resolver.ProviderSettings.Logger == nil {
		set.Resolver.ProviderSettings.Logger = set.Logger
	}
	if set.Resolver.ConverterSettings.Logger == nil {
		set.Resolver.ConverterSettings.Logger = set.Logger
	}
	provider, err := otelcol.NewConfigProvider(otelcol.ConfigProviderSettings{ResolverSettings: set.Resolver})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocate, err)
	}
	return provider, nil
}

func (set Settings) config(ctx context.Context, provider *otelcol.ConfigProvider) (*otelcol.Config, error) {
	cfg, err := provider.Get(ctx, set.Factories)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGet, err)
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return cfg, nil
}
