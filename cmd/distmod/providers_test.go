// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const program = `package main

import (
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/otelcol"
)

func settings() confmap.ResolverSettings {
	return confmap.ResolverSettings{
		ProviderFactories: []confmap.ProviderFactory{
			envprovider.NewFactory(),
			fileprovider.NewFactory(),
		},
		DefaultScheme: "env",
	}
}
`

func TestWithProviders(t *testing.T) {
	t.Parallel()
	got, err := withProviders([]byte(program), []string{
		"go.opentelemetry.io/collector/confmap/provider/envprovider",
		"go.opentelemetry.io/collector/confmap/provider/fileprovider",
	})
	require.NoError(t, err)
	require.Equal(t, program, string(got))

	got, err = withProviders([]byte(program), []string{
		"example.com/vaultprovider", "go.opentelemetry.io/collector/confmap/provider/envprovider",
	})
	require.NoError(t, err)
	require.Equal(t, `package main

import (
	provider0 "example.com/vaultprovider"
	"go.opentelemetry.io/collector/confmap"
	provider1 "go.opentelemetry.io/collector/confmap/provider/envprovider"

	"go.opentelemetry.io/collector/otelcol"
)

func settings() confmap.ResolverSettings {
	return confmap.ResolverSettings{
		ProviderFactories: []confmap.ProviderFactory{
			provider0.NewFactory(),
			provider1.NewFactory(),
		},
		DefaultScheme: "env",
	}
}
`, string(got))
}

func TestWithProvidersOfOtherPrograms(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"not Go":         "nothing",
		"no list":        "package main",
		"an empty list":  "package main\nvar l = []confmap.ProviderFactory{}",
		"two lists":      "package main\nvar l = []confmap.ProviderFactory{a.NewFactory()}\nvar m = []confmap.ProviderFactory{a.NewFactory()}",
		"not imported":   "package main\nvar l = []confmap.ProviderFactory{a.NewFactory()}",
		"of other names": "package main\nimport \"example.com/go-a\"\nvar l = []confmap.ProviderFactory{a.NewFactory()}",
	} {
		_, err := withProviders([]byte(source), []string{"example.com/b"})
		require.Error(t, err, name)
	}
}

// The program that this is for.
func TestWithProvidersOfMain(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "main.go"))
	require.NoError(t, err)
	got, err := withProviders(source, coreManifest(t).providerPackages())
	require.NoError(t, err)
	require.Equal(t, string(source), string(got), "the core's manifest and main.go have the same providers")

	got, err = withProviders(source, []string{"example.com/vaultprovider"})
	require.NoError(t, err)
	require.NotContains(t, string(got), "envprovider")
	require.Contains(t, string(got), "\tprovider0 \"example.com/vaultprovider\"\n")
}
