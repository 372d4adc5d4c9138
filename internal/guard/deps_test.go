// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	guardPackage = "github.com/otelcol-lambda/otelcol-lambda/cmd/guard"
	// maxProgramBytes bounds what a cold start has to fetch and page in before the extension is registered.
	maxProgramBytes = 2_000_000
)

func TestDependencies(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", guardPackage)
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	require.NoError(t, err)
	packages := strings.Fields(string(out))
	require.Contains(t, packages, guardPackage)
	for _, unwanted := range []string{
		"net", "net/http", "net/netip", "fmt", "log", "encoding/json", "os/exec", "reflect", "regexp", "runtime/cgo",
	} {
		require.NotContains(t, packages, unwanted)
	}
	for _, pkg := range packages {
		domain, _, _ := strings.Cut(pkg, "/")
		require.True(t, !strings.Contains(domain, ".") || strings.HasPrefix(pkg, "github.com/otelcol-lambda/otelcol-lambda/"),
			"%s is neither the standard library's nor ours", pkg)
	}
}

func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	for _, arch := range []string{"amd64", "arm64"} {
		program := filepath.Join(t.TempDir(), "guard")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, guardPackage)
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		info, err := os.Stat(program)
		require.NoError(t, err)
		t.Logf("%s: %d of at most %d bytes", arch, info.Size(), maxProgramBytes)
		require.Less(t, info.Size(), int64(maxProgramBytes),
			"compare `go tool nm -size -sort size` of an unstripped build with the last commit's")
	}
}
