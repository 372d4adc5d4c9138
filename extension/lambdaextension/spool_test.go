// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// out is a stdout that records the calls.
type out struct {
	mu    sync.Mutex
	calls []string
	err   error
	block chan struct{} // closed when it takes something, nil if it always does
}

func (o *out) Write(line []byte) (int, error) {
	if o.block != nil {
		<-o.block
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, string(line))
	return len(line), o.err
}

func (o *out) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.calls, "")
}

func newLastResort(t *testing.T, o *out) *disk {
	t.Helper()
	d, _ := newDisk(t, func(c *SpoolConfig) { c.Stdout = true })
	d.log = newLineWriter(o)
	return d
}

func TestLastResortIsOffByDefault(t *testing.T) {
	d, _ := newDisk(t)
	require.Nil(t, d.lastResort(time.Now().Add(time.Second)))
}

func TestLastResortGoesToStdout(t *testing.T) {
	d, _ := newDisk(t, func(c *SpoolConfig) { c.Stdout = true })
	require.NotNil(t, d.lastResort(time.Time{}))
	require.Same(t, os.Stdout, d.log.out)
}

func TestLastResortOfSeveralComponents(t *testing.T) {
	o := &out{}
	d := newLastResort(t, o)
	var components sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		components.Go(func() {
			write := d.lastResort(time.Now().Add(time.Minute))
			for range 100 {
				_ = write([]byte(name + "\n"))
			}
		})
	}
	components.Wait()
	require.Len(t, o.calls, 300)
	require.Equal(t, 100, strings.Count(o.text(), "a\n"))
}

func TestLastResortThatFails(t *testing.T) {
	broken := errors.New("broken")
	d := newLastResort(t, &out{err: broken})
	require.ErrorIs(t, d.lastResort(time.Time{})([]byte("a\n")), broken)
}

// Nobody reads stdout. A line waits as long as there is time, and those after it for nothing.
func TestLastResortThatIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const left = 2 * time.Second
		o := &out{block: make(chan struct{})}
		d := newLastResort(t, o)
		begin := time.Now()
		d.prepare(reasonSpindown)
		deadline := begin.Add(left * 4 / 5)
		write, other := d.lastResort(deadline), d.lastResort(deadline)

		time.Sleep(left * 4 / 5)
		done := make(chan error, 1)
		go func() { done <- other([]byte("b\n")) }()
		require.ErrorIs(t, write([]byte("a\n")), errBlocked)
		require.ErrorIs(t, <-done, errBlocked)
		waited := time.Since(begin)
		require.Greater(t, waited, left*4/5, "the deadline of the components is not the end")
		require.Less(t, waited, left*9/10, "there is time to say so before the process ends")

		require.ErrorIs(t, write([]byte("c\n")), errNoTime)
		require.Equal(t, waited, time.Since(begin))

		close(o.block)
		synctest.Wait()
		require.Len(t, o.calls, 1, "whose call was under way is finished; the other was counted as lost")
	})
}

// A process that is ended by somebody else than Lambda has a bound as well.
func TestLastResortWithoutShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &out{block: make(chan struct{})}
		d := newLastResort(t, o)
		begin := time.Now()
		require.ErrorIs(t, d.lastResort(time.Time{})([]byte("a\n")), errBlocked)
		require.Equal(t, lastResortTime, time.Since(begin))
		close(o.block)
		synctest.Wait()

		require.NoError(t, d.lastResort(time.Time{})([]byte("b\n")), "the next component has its own")
		require.Equal(t, "a\nb\n", o.text())
	})
}
