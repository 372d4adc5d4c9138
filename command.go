// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/featuregate"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"github.com/otelcol-lambda/otelcol-lambda/confmap/converter/lambdaconverter"
	"github.com/otelcol-lambda/otelcol-lambda/internal/collector"
	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
)

const usage = `otelcol-lambda is an OpenTelemetry Collector that runs as an AWS Lambda extension.

Usage:
  otelcol-lambda [command] [flags]

Commands:
  (none)       run the collector until it is interrupted
  validate     check the configuration, and build its pipelines without starting them
  config       print the configuration as it would run: with what is changed for Lambda and with all defaults,
               and without secrets
  components   list the components that a configuration can use

Flags:
`

// command is a call of the program by a person: with what every collector understands, and without the library that reads
// it in other collectors, which is 0.4 MB of each cold start's file.
type command struct {
	env         environment
	out, errOut io.Writer

	name   string
	uris   []string
	sets   []string
	about  bool // --version
	parsed *flag.FlagSet
}

// runCommand returns the program's exit status.
func runCommand(env environment, args []string, out, errOut io.Writer) int {
	c := command{env: env, out: out, errOut: errOut}
	switch err := c.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		c.help()
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(errOut, "Error: %v. See otelcol-lambda --help\n", err)
		return 2
	}
	if err := c.run(); err != nil {
		_, _ = fmt.Fprintf(errOut, "Error: %v\n", err)
		return 1
	}
	return 0
}

// parse reads flags in front of the command's name and behind it.
func (c *command) parse(args []string) error {
	c.parsed = flag.NewFlagSet("otelcol-lambda", flag.ContinueOnError)
	c.parsed.SetOutput(io.Discard) // what is wrong is said once, by runCommand
	c.parsed.Usage = func() {}
	c.parsed.Func("config", "`URI` of a configuration, such as a path; repeatable, the later one wins (default: as on Lambda, by "+
		envConfigURI+")", func(uri string) error {
		c.uris = append(c.uris, uri)
		return nil
	})
	c.parsed.Func("set", "set a `key=value` of the configuration, such as processors.batch.timeout=2s; repeatable",
		func(pair string) error {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				return errors.New("there is no equals sign in it")
			}
			c.sets = append(c.sets,
				"yaml:"+strings.TrimSpace(strings.ReplaceAll(key, ".", "::"))+": "+strings.TrimSpace(value))
			return nil
		})
	c.parsed.BoolVar(&c.about, "version", false, "print the version")
	c.parsed.BoolVar(&c.about, "v", false, "print the version")
	featuregate.GlobalRegistry().RegisterFlags(c.parsed)
	for {
		err := c.parsed.Parse(args)
		if err != nil {
			return err
		}
		args = c.parsed.Args()
		if len(args) == 0 {
			return nil
		}
		if c.name != "" {
			return fmt.Errorf("unexpected argument %q", args[0])
		}
		c.name, args = args[0], args[1:]
	}
}

func (c *command) help() {
	_, _ = io.WriteString(c.out, usage)
	c.parsed.SetOutput(c.out)
	c.parsed.PrintDefaults()
}

func (c *command) run() error {
	if c.about {
		_, err := fmt.Fprintf(c.out, "otelcol-lambda version %s\n", version)
		return err
	}
	switch c.name {
	case "", "validate", "config", "print-config", "components":
	case "help":
		c.help()
		return nil
	default:
		return fmt.Errorf("unknown command %q. See otelcol-lambda --help", c.name)
	}
	set, err := c.settings()
	if err != nil {
		return err
	}
	switch c.name {
	case "validate":
		return collector.Check(context.Background(), set)
	case "config", "print-config": // the latter is what other collectors call it
		values, err := collector.Config(context.Background(), set)
		if err != nil {
			return err
		}
		return c.print(values)
	case "components":
		return c.print(inventory(set))
	default:
		return serve(set)
	}
}

func (c *command) settings() (collector.Settings, error) {
	if len(c.uris) > 0 {
		c.env.configURIs = c.uris
	}
	c.env.configURIs = append(slices.Clone(c.env.configURIs), c.sets...)
	set := collector.Settings{
		BuildInfo: buildInfo(), Resolver: resolver(c.env), Logger: selftelemetry.NewLogger(zapcore.AddSync(c.errOut), c.env.logLevel),
	}
	if c.name == "validate" {
		// What would be a warning at run time is worth seeing before a configuration is deployed.
		set.Logger = selftelemetry.NewLogger(zapcore.AddSync(c.errOut), zapcore.WarnLevel)
		set.Resolver.ConverterFactories = []confmap.ConverterFactory{
			lambdaconverter.NewFactory(lambdaconverter.WithLogger(set.Logger)),
		}
	}
	var err error
	set.Factories, err = factories(c.env.logLevel)
	return set, err
}

// print writes YAML.
func (c *command) print(values any) error {
	encoder := yaml.NewEncoder(c.out)
	encoder.SetIndent(2)
	return errors.Join(encoder.Encode(values), encoder.Close())
}

// serve runs a collector outside of Lambda.
func serve(set collector.Settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	running, err := collector.Start(ctx, set)
	if err != nil {
		return err
	}
	running.Logger().Info("The collector runs. Interrupt it to end it")
	select {
	case <-ctx.Done():
	case err = <-running.Fatal():
		running.Logger().Error("A component cannot go on, and the collector stops", zap.Error(err))
	}
	return errors.Join(err, running.Shutdown(context.WithoutCancel(ctx)))
}

// entry is a component in the list of components.
type entry struct {
	Name   string `yaml:"name"`
	Module string `yaml:"module,omitempty"`
}

// inventory lists what a configuration can use, in the form that every collector has for it.
func inventory(set collector.Settings) any {
	f := set.Factories
	var providers []string
	for _, p := range set.Resolver.ProviderFactories {
		providers = append(providers, p.Create(set.Resolver.ProviderSettings).Scheme())
	}
	slices.Sort(providers)
	return struct {
		BuildInfo  component.BuildInfo `yaml:"buildinfo"`
		Receivers  []entry             `yaml:"receivers"`
		Processors []entry             `yaml:"processors"`
		Exporters  []entry             `yaml:"exporters"`
		Connectors []entry             `yaml:"connectors"`
		Extensions []entry             `yaml:"extensions"`
		Providers  []string            `yaml:"providers"`
	}{
		set.BuildInfo, entries(f.Receivers, f.ReceiverModules), entries(f.Processors, f.ProcessorModules),
		entries(f.Exporters, f.ExporterModules), entries(f.Connectors, f.ConnectorModules),
		entries(f.Extensions, f.ExtensionModules), providers,
	}
}

// entries leaves out the old names that some components are known by as well.
func entries[F component.Factory](factories map[component.Type]F, modules map[component.Type]string) []entry {
	list := []entry{}
	for name, factory := range factories {
		if name == factory.Type() {
			list = append(list, entry{Name: name.String(), Module: modules[name]})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
