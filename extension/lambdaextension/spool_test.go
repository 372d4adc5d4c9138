// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/spool"
)

func newDisk(t *testing.T, change ...func(*SpoolConfig)) (d *disk, logs *observer.ObservedLogs) {
	t.Helper()
	cfg := createDefaultConfig().(*Config).Spool
	cfg.Directory = filepath.Join(t.TempDir(), "spool")
	for _, c := range change {
		c(&cfg)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	d = &disk{cfg: cfg, logger: zap.New(core)}
	t.Cleanup(d.close)
	return d, logs
}

func TestDiskIsMadeWhenSomebodyWillReadIt(t *testing.T) {
	d, logs := newDisk(t)
	d.reserve("traces/decouple")
	require.False(t, d.resume(), "a cold start makes nothing")
	for _, reason := range []string{reasonSpindown, ""} {
		d.prepare(reason)
		s, lasting := d.of("traces/decouple")
		require.Nil(t, s)
		require.False(t, lasting)
	}
	require.NoDirExists(t, d.cfg.Directory)

	d.prepare("timeout")
	s, lasting := d.of("traces/decouple")
	require.NotNil(t, s)
	require.True(t, lasting)
	_, err := s.Put(spool.Record{Signal: "traces", Pipeline: "traces/decouple", Items: 1, Payload: []byte("x")})
	require.NoError(t, err)

	next := &disk{cfg: d.cfg, logger: zap.NewNop()}
	next.reserve("traces/decouple")
	require.False(t, next.resume(), "the process before is still ending")
	d.close()
	require.True(t, next.resume())
	_, lasting = next.of("traces/decouple")
	require.False(t, lasting, "nobody ends yet")
	next.close()
	require.Empty(t, logs.All())
}

func TestDiskOfTwoWithOneName(t *testing.T) {
	d, _ := newDisk(t)
	first, second := d.reserve("traces/decouple"), d.reserve("traces/decouple")
	d.prepare("failure")
	s, _ := d.of("traces/decouple")
	require.Nil(t, s, "nobody could tell whose data it is")
	second()
	s, _ = d.of("traces/decouple")
	require.NotNil(t, s)
	first()
}

func TestDiskSwitchedOff(t *testing.T) {
	d, _ := newDisk(t, func(c *SpoolConfig) { c.Enabled = false })
	require.NoError(t, os.Mkdir(d.cfg.Directory, 0o700))
	d.reserve("logs/decouple")
	require.False(t, d.resume())
	d.prepare("timeout")
	s, _ := d.of("logs/decouple")
	require.Nil(t, s)
}

func TestDiskThatCannotBeUsed(t *testing.T) {
	d, logs := newDisk(t)
	require.NoError(t, os.WriteFile(d.cfg.Directory, nil, 0o600))
	d.reserve("logs/decouple")
	d.prepare("timeout")
	s, lasting := d.of("logs/decouple")
	require.Nil(t, s)
	require.False(t, lasting)
	require.Len(t, logs.FilterMessageSnippet("The spool cannot be used").All(), 1)
}
