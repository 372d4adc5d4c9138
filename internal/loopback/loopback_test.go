// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package loopback

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1":             true,
		"127.1.2.3":             true,
		"::1":                   true,
		"::1%lo":                true,
		"0:0:0:0:0:0:0:1":       true,
		"::ffff:127.0.0.1":      true,
		"::ffff:7f00:1":         true,
		"localhost":             true,
		"LOCALHOST.":            true,
		"api.localhost":         true,
		"a.b.LocalHost.":        true,
		"":                      false,
		".":                     false,
		"127.0.0.1.example.com": false,
		"127.1":                 false,
		"127.0.0.256":           false,
		"::":                    false,
		"::2":                   false,
		"::ffff:10.0.0.1":       false,
		"fe80::1":               false,
		"0.0.0.0":               false,
		"10.0.0.1":              false,
		"1127.0.0.1":            false,
		"localhost..":           false,
		"localhost.example.com": false,
		"mylocalhost":           false,
		"localhos":              false,
		"ocalhost":              false,
		"backend":               false,
		// An s of another script folds to the letter, and is no part of the name.
		"localho\u017ft": false,
	} {
		require.Equal(t, want, Is(host), host)
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "LOCALHOST.", "otlp.example.com", "10.0.0.1", "2001:db8::1"} {
		require.Zero(t, testing.AllocsPerRun(100, func() { Is(host) }), host)
	}
}
