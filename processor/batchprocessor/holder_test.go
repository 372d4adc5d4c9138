// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package batchprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	stock "go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-lambda/otelcol-lambda/internal/health"
)

var errFull = errors.New("queue is full")

// moody takes logs unless it is told to refuse.
type moody struct {
	mu     sync.Mutex
	refuse error
	taken  []string
}

func (*moody) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (m *moody) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				m.taken = append(m.taken, lr.Body().Str())
			}
		}
	}
	return nil
}

func (m *moody) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

func body(text string) plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(text)
	return ld
}

func TestWhatTheNextComponentRefusesIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &moody{refuse: errFull}
		p, participant := start(t, NewFactory(), func(cfg *stock.Config) { cfg.Timeout = time.Second }, next)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("a")))
		require.NoError(t, p.ConsumeLogs(t.Context(), body("b")))
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, p.ConsumeLogs(t.Context(), body("c")), errFull, "senders are told, so that they try again")
		participant.Drain(t.Context())
		require.False(t, participant.Drain(t.Context()), "still refused")

		next.set(nil)
		require.True(t, participant.Drain(t.Context()))
		require.Equal(t, []string{"a", "b"}, next.taken)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("c")))
		require.True(t, participant.Drain(t.Context()))
		require.Equal(t, []string{"a", "b", "c"}, next.taken)
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestSendersBringOutWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &moody{refuse: errFull}
		p, _ := start(t, NewFactory(), func(cfg *stock.Config) { cfg.Timeout = time.Second }, next)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("a")))
		time.Sleep(time.Second)
		synctest.Wait()
		next.set(nil)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("b")))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, next.taken)
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

func TestWhatIsRefusedForGoodIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &moody{refuse: consumererror.NewPermanent(errFull)}
		p, participant := start(t, NewFactory(), holdForEver, next)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("a")))
		require.True(t, participant.Drain(t.Context()))
		next.set(nil)
		require.NoError(t, p.ConsumeLogs(t.Context(), body("b")))
		require.NoError(t, p.Shutdown(t.Context()))
		require.Equal(t, []string{"b"}, next.taken)
	})
}

func TestWhatIsRefusedUntilShutdownIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		set := processortest.NewNopSettings(NewFactory().Type())
		set.Logger = zap.New(core)
		cfg := NewFactory().CreateDefaultConfig().(*stock.Config)
		holdForEver(cfg)
		p, err := NewFactory().CreateLogs(t.Context(), set, cfg, &moody{refuse: errFull})
		require.NoError(t, err)
		host := &lifecycleHost{Host: componenttest.NewNopHost(), health: health.NewRegistry(time.Now())}
		require.NoError(t, p.Start(t.Context(), host))
		require.NoError(t, p.ConsumeLogs(t.Context(), body("a")))
		require.NoError(t, p.ConsumeLogs(t.Context(), body("b")))
		require.NoError(t, p.Shutdown(t.Context()))
		dropped := logs.FilterMessage("Data was dropped").All()
		require.Len(t, dropped, 1)
		require.EqualValues(t, 2, dropped[0].ContextMap()["count"])
		require.EqualValues(t, 2, host.health.Dropped("logs", refusedToTheEnd))
	})
}
