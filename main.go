// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Nothing on the way to or from 127.0.0.1 speaks Multipath TCP.
//go:debug multipathtcp=0

// Program otelcol-lambda is an OpenTelemetry Collector that runs as an AWS Lambda extension.
//
// Lambda starts it without arguments and with AWS_LAMBDA_RUNTIME_API set; then no trouble of the collector's may fail
// the function (lambda.go). Called in any other way, it is the command line that every collector has.
package main

import (
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/httpprovider"
	"go.opentelemetry.io/collector/confmap/provider/httpsprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/otelcol"
	"go.uber.org/zap/zapcore"

	"github.com/otelcol-lambda/otelcol-lambda/confmap/converter/lambdaconverter"
	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
	_ "github.com/otelcol-lambda/otelcol-lambda/internal/startstack" // first of all
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() { os.Exit(run()) }

func run() int {
	env := readEnvironment()
	if env.runtimeAPI != "" && len(os.Args) == 1 {
		return runOnLambda(env)
	}
	return runCommand(env, os.Args[1:], os.Stdout, os.Stderr)
}

// buildInfo describes the program.
func buildInfo() component.BuildInfo {
	return component.BuildInfo{
		Command:     "otelcol-lambda",
		Description: "OpenTelemetry Collector that runs as an AWS Lambda extension",
		Version:     version,
	}
}

// resolver says where the configuration comes from.
func resolver(env environment) confmap.ResolverSettings {
	return confmap.ResolverSettings{
		URIs: env.configURIs,
		ProviderFactories: []confmap.ProviderFactory{
			envprovider.NewFactory(),
			fileprovider.NewFactory(),
			httpprovider.NewFactory(),
			httpsprovider.NewFactory(),
			yamlprovider.NewFactory(),
		},
		ConverterFactories: []confmap.ConverterFactory{lambdaconverter.NewFactory()},
		DefaultScheme:      "env",
	}
}

// factories returns the components of components.go. The lambda extension is bound to this process, and the
// collector's log level follows the layer's environment variable where the configuration sets none.
func factories(level zapcore.Level, options ...lambdaextension.Option) (otelcol.Factories, error) {
	f, err := components()
	if err != nil {
		return otelcol.Factories{}, err
	}
	ext := lambdaextension.NewFactory(options...)
	f.Extensions[ext.Type()] = ext
	f.Telemetry = selftelemetry.NewFactory(
		selftelemetry.WithDefaultLevel(level),
		// decouple keeps what an exporter could not send, and says so. The exporter's own line claims that it is lost, and
		// recommends the queue that a freeze would catch.
		selftelemetry.WithDemoted("Exporting failed. Rejecting data."),
	)
	return f, nil
}
