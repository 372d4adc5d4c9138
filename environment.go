// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

const (
	envConfigURI  = "OPENTELEMETRY_COLLECTOR_CONFIG_URI"
	envConfigFile = "OPENTELEMETRY_COLLECTOR_CONFIG_FILE"
	envLogLevel   = "OPENTELEMETRY_EXTENSION_LOG_LEVEL"

	// configPath is where a layer carries its configuration, below the root that Lambda unpacks it to.
	configPath = "collector-config/config.yaml"
	layerRoot  = "/opt"
)

// environment is what the environment variables say.
type environment struct {
	runtimeAPI string
	configURIs []string
	logLevel   zapcore.Level
	// guarded says that a guard is the extension, and that this process may end.
	guarded bool
	// telemetryFD is the descriptor of a listener that the guard has opened, if any.
	telemetryFD string
	// httpAddress and grpcAddress are where the function's OTLP is refused if there will be no collector. Empty ones are
	// left alone.
	httpAddress, grpcAddress string
	// warnings are about the variables themselves.
	warnings []string
}

func readEnvironment() environment {
	executable, _ := os.Executable() // without it, the layer is taken to be where Lambda puts it
	env := parseEnvironment(os.Getenv, executable, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
	env.httpAddress, env.grpcAddress = defaultHTTPAddress, defaultGRPCAddress
	return env
}

func parseEnvironment(getenv func(string) string, executable string, exists func(string) bool) environment {
	env := environment{
		runtimeAPI:  getenv("AWS_LAMBDA_RUNTIME_API"),
		guarded:     getenv(contract.EnvGuard) != "",
		telemetryFD: getenv(contract.EnvTelemetryFD),
	}
	if text := getenv(envLogLevel); text != "" {
		level, err := zapcore.ParseLevel(text)
		if err != nil {
			env.warnings = append(env.warnings, envLogLevel+" must be debug, info, warn or error; it is taken for info")
		}
		env.logLevel = level
	}
	uris := getenv(envConfigURI)
	if file := getenv(envConfigFile); file != "" {
		env.warnings = append(env.warnings, envConfigFile+" is deprecated; use "+envConfigURI)
		if uris == "" {
			uris = file
		}
	}
	env.configURIs = splitURIs(uris)
	if len(env.configURIs) == 0 {
		env.configURIs = []string{defaultConfig(executable, exists)}
	}
	return env
}

// defaultConfig is the configuration of the layer that the executable lies in, one folder below its root.
func defaultConfig(executable string, exists func(string) bool) string {
	inLayer := filepath.Join(filepath.Dir(filepath.Dir(executable)), configPath)
	if executable != "" && exists(inLayer) {
		return inLayer
	}
	return filepath.Join(layerRoot, configPath)
}

// uriStart is what follows a comma that separates two configurations. A yaml: URI has commas of its own.
const uriStart = `,\s*(/|\./|\.\./|(file|env|yaml|s3|ssm|secretsmanager):\S|https?://)`

// splitURIs splits a list of configuration URIs. They are merged in their order.
func splitURIs(list string) []string {
	var uris []string
	add := func(uri string) {
		if uri = strings.Trim(uri, ", \t\r\n"); uri != "" {
			uris = append(uris, uri)
		}
	}
	start := 0
	if strings.Contains(list, ",") { // or the pattern need not be compiled, at each start
		for _, at := range regexp.MustCompile(uriStart).FindAllStringIndex(list, -1) {
			add(list[start:at[0]])
			start = at[0] + 1
		}
	}
	add(list[start:])
	return uris
}
