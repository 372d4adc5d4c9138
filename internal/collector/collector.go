// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/service"
	"go.uber.org/zap"
)

// What keeps a collector from starting, besides its components. The texts are those of otelcol.
var (
	// ErrLocate says that the addresses of the configuration cannot be used. Nothing has been read from them.
	ErrLocate = errors.New("the configuration cannot be located")
	// ErrGet says that the configuration could not be read, or not be understood.
	ErrGet = errors.New("failed to get config")
	// ErrInvalid says that the configuration was understood, and that a value in it is wrong.
	ErrInvalid = errors.New("invalid configuration")
)

// Settings are what a Collector needs.
type Settings struct {
	BuildInfo component.BuildInfo
	// Factories are those of all components that a configuration may name.
	Factories otelcol.Factories
	// Resolver says where the configuration comes from. Its loggers are set to Logger where they are nil.
	Resolver confmap.ResolverSettings
	// Logger is for what is logged before the collector has the one that the configuration describes.
	Logger *zap.Logger

	// prevent unkeyed literal initialization
	_ struct{}
}

// Collector is a collector that runs.
type Collector struct {
	provider *otelcol.ConfigProvider
	service  *service.Service
	fatal    chan error
	ended    chan struct{}
}

// Start returns when all components have started. If one does not, the ones before it are shut down again, and the error
// is its own; other errors wrap ErrLocate, ErrGet or ErrInvalid.
func Start(ctx context.Context, set Settings) (_ *Collector, err error) {
	provider, err := set.provider()
	if err != nil {
		return nil, err
	}
	c := &Collector{provider: provider, fatal: make(chan error, 1), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			close(c.ended)
			err = errors.Join(err, provider.Shutdown(ctx))
		}
	}()
	cfg, err := set.config(ctx, provider)
	if err != nil {
		return nil, err
	}
	if c.service, err = service.New(ctx, c.settings(set, cfg), cfg.Service); err != nil {
		return nil, err
	}
	if err := setUpGRPC(c.service.Logger()); err != nil {
		return nil, errors.Join(err, c.service.Shutdown(ctx))
	}
	if err := c.service.Start(ctx); err != nil {
		return nil, errors.Join(err, c.service.Shutdown(ctx))
	}
	return c, nil
}

func (c *Collector) settings(set Settings, cfg *otelcol.Config) service.Settings {
	failed := make(chan error)
	go c.drain(failed)
	s := set.service(cfg)
	s.AsyncErrorChannel = failed
	return s
}

// service is what a service is built from.
func (set Settings) service(cfg *otelcol.Config) service.Settings {
	return service.Settings{
		BuildInfo:           set.BuildInfo,
		ReceiversConfigs:    cfg.Receivers,
		ReceiversFactories:  set.Factories.Receivers,
		ProcessorsConfigs:   cfg.Processors,
		ProcessorsFactories: set.Factories.Processors,
		ExportersConfigs:    cfg.Exporters,
		ExportersFactories:  set.Factories.Exporters,
		ConnectorsConfigs:   cfg.Connectors,
		ConnectorsFactories: set.Factories.Connectors,
		ExtensionsConfigs:   cfg.Extensions,
		ExtensionsFactories: set.Factories.Extensions,
		ModuleInfos: service.ModuleInfos{
			Receiver:  modules(set.Factories.ReceiverModules),
			Processor: modules(set.Factories.ProcessorModules),
			Exporter:  modules(set.Factories.ExporterModules),
			Extension: modules(set.Factories.ExtensionModules),
			Connector: modules(set.Factories.ConnectorModules),
		},
		TelemetryFactory: set.Factories.Telemetry,
	}
}

func modules(refs map[component.Type]string) map[component.Type]service.ModuleInfo {
	infos := make(map[component.Type]service.ModuleInfo, len(refs))
	for typ, ref := range refs {
		infos[typ] = service.ModuleInfo{BuilderRef: ref}
	}
	return infos
}

// drain takes the fatal errors of components, which wait until somebody does. The first one is the one to know.
func (c *Collector) drain(failed <-chan error) {
	for {
		select {
		case err := <-failed:
			select {
			case c.fatal <- err:
			default:
			}
		case <-c.ended:
			return
		}
	}
}

// Fatal has the error of the first component that cannot go on.
func (c *Collector) Fatal() <-chan error { return c.fatal }

// Logger is the one that the configuration describes.
func (c *Collector) Logger() *zap.Logger { return c.service.Logger() }

// Shutdown ends all components, from the receivers to the exporters. It is to be called once.
func (c *Collector) Shutdown(ctx context.Context) error {
	defer close(c.ended)
	return errors.Join(c.provider.Shutdown(ctx), c.service.Shutdown(ctx))
}
