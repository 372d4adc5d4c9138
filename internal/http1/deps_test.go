// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// list returns what go list prints for linux/amd64, one line each.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// The guard that links this package has a budget of 2 MB, most of which is Go's runtime, and of 2 ms until it registers.
// Package net alone would exceed the former.
func TestDependencies(t *testing.T) {
	direct := list(t, "-f", `{{join .Imports "\n"}}`, ".")
	require.Subset(t, []string{"bufio", "bytes", "errors", "io", "slices", "strconv", "strings", "sync", "time"}, direct)

	all := list(t, "-deps", ".")
	require.Contains(t, all, "bufio")
	for _, heavy := range []string{
		"context", "crypto", "encoding", "fmt", "log", "mime", "net", "os", "reflect", "regexp", "sort", "text",
	} {
		require.Falsef(t, slices.ContainsFunc(all, func(dep string) bool {
			return dep == heavy || strings.HasPrefix(dep, heavy+"/")
		}), "%s is linked", heavy)
	}

	// Nothing but the standard library.
	outside := slices.DeleteFunc(all, func(dep string) bool {
		first, _, _ := strings.Cut(dep, "/")
		return !strings.Contains(first, ".")
	})
	require.Equal(t, []string{"github.com/otelcol-lambda/otelcol-lambda/internal/http1"}, outside)
}
