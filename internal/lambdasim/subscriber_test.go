// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// delivery is what a fake listener got, and when.
type delivery struct {
	after  time.Duration
	events []string
}

// fakeListener is the other end of a subscriber in synthetic time.
type fakeListener struct {
	start time.Time
	// answer is asked for each delivery, with the number of those before.
	answer func(ctx context.Context, n int) (int, error)

	mu  sync.Mutex
	got []delivery
}

func (l *fakeListener) post(ctx context.Context, body []byte) (int, error) {
	var events []struct {
		Type   string          `json:"type"`
		Record json.RawMessage `json:"record"`
	}
	if err := json.Unmarshal(body, &events); err != nil {
		return 0, err
	}
	d := delivery{after: time.Since(l.start)}
	for _, e := range events {
		text := strings.Trim(string(e.Record), `"`)
		if e.Type != "function" {
			text = e.Type + " " + text
		}
		d.events = append(d.events, text)
	}
	l.mu.Lock()
	n := len(l.got)
	l.got = append(l.got, d)
	l.mu.Unlock()
	if l.answer == nil {
		return http.StatusOK, nil
	}
	return l.answer(ctx, n)
}

func (l *fakeListener) deliveries() []delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]delivery{}, l.got...)
}

// startSubscriber runs a subscriber in the bubble until the test ends.
func startSubscriber(t *testing.T, g *gate, sub subscription, l *fakeListener) (*hub, *subscriber) {
	t.Helper()
	l.start = time.Now()
	h := newHub(g, false, func(Record) {})
	if sub.types == nil {
		sub.types = []telemetryapi.Stream{telemetryapi.StreamFunction}
	}
	sub.schemaVersion = "2025-01-29"
	s := newSubscriber("ext", sub, g, l.post)
	require.True(t, h.subscribe(s))
	t.Cleanup(h.close)
	return h, s
}

func line(h *hub, text string) { h.line(telemetryapi.StreamFunction, text) }

var hundredMillis = subscription{maxItems: 3, maxBytes: 1000, timeout: 100 * time.Millisecond}

// A batch leaves when its time is over, counted from its first event.
func TestBufferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{}
		h, _ := startSubscriber(t, newGate(), hundredMillis, l)
		time.Sleep(time.Second)
		line(h, "a")
		time.Sleep(60 * time.Millisecond)
		line(h, "b")
		time.Sleep(time.Second)
		require.Equal(t, []delivery{{1100 * time.Millisecond, []string{"a", "b"}}}, l.deliveries())
		h.close()
	})
}

// A batch leaves at once when it has enough items or bytes.
func TestBufferLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		lines []string
		want  [][]string
	}{
		"items": {
			lines: []string{"1", "2", "3", "4", "5", "6"},
			want:  [][]string{{"1", "2", "3"}, {"4", "5", "6"}},
		},
		"bytes": {
			lines: []string{strings.Repeat("a", 450), strings.Repeat("b", 450), "c"},
			// A batch is not larger than the limit.
			want: [][]string{{strings.Repeat("a", 450)}, {strings.Repeat("b", 450), "c"}},
		},
		"one too large": {
			lines: []string{strings.Repeat("a", 2000)},
			want:  [][]string{{strings.Repeat("a", 2000)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &fakeListener{}
				h, s := startSubscriber(t, newGate(), hundredMillis, l)
				for _, text := range tt.lines {
					line(h, text)
				}
				synctest.Wait()
				require.Zero(t, l.deliveries()[0].after)
				time.Sleep(time.Second)
				var got [][]string
				for _, d := range l.deliveries() {
					got = append(got, d.events)
				}
				require.Equal(t, tt.want, got)
				n := len(tt.lines)
				require.Equal(t, Counts{Generated: n, Delivered: n}, s.report(1).Events[telemetryapi.EventFunction])
				require.Equal(t, tt.lines, s.report(1).Function)
				h.close()
			})
		})
	}
}

// Nothing is delivered while frozen, and the time of a started buffer goes on where it was.
func TestBufferAndFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		l := &fakeListener{}
		h, _ := startSubscriber(t, g, hundredMillis, l)
		line(h, "a")
		time.Sleep(70 * time.Millisecond)
		g.freeze()
		// Not even a full one.
		line(h, "b")
		line(h, "c")
		time.Sleep(time.Hour)
		require.Empty(t, l.deliveries())
		g.thaw()
		synctest.Wait()
		require.Equal(t, []delivery{{time.Hour + 70*time.Millisecond, []string{"a", "b", "c"}}}, l.deliveries())
		line(h, "d")
		time.Sleep(30 * time.Millisecond)
		g.freeze()
		time.Sleep(time.Hour)
		g.thaw()
		time.Sleep(70 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, delivery{2*time.Hour + 170*time.Millisecond, []string{"d"}}, l.deliveries()[1])
		h.close()
	})
}

// A batch that is not accepted is sent again, later and later, and given up in the end.
func TestDeliveryRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{answer: func(_ context.Context, n int) (int, error) {
			switch n {
			case 0:
				return http.StatusInternalServerError, nil
			case 1:
				return 0, errors.New("refused")
			}
			return http.StatusNoContent, nil
		}}
		h, s := startSubscriber(t, newGate(), hundredMillis, l)
		var refused, bad int
		s.refused = func(error) { refused++ }
		s.badStatus = func(int) { bad++ }
		line(h, "a")
		time.Sleep(time.Minute)
		require.Equal(t, []delivery{
			{100 * time.Millisecond, []string{"a"}},
			{150 * time.Millisecond, []string{"a"}},
			{250 * time.Millisecond, []string{"a"}},
		}, l.deliveries())
		require.Equal(t, 1, refused)
		require.Equal(t, 1, bad)
		require.Equal(t, Counts{Generated: 1, Delivered: 1, Retried: 2}, s.report(1).Events[telemetryapi.EventFunction])
		h.close()
	})
}

func TestDeliveryGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healthy atomic.Bool
		l := &fakeListener{answer: func(context.Context, int) (int, error) {
			if healthy.Load() {
				return http.StatusOK, nil
			}
			return http.StatusServiceUnavailable, nil
		}}
		sub := hundredMillis
		sub.types = []telemetryapi.Stream{telemetryapi.StreamPlatform, telemetryapi.StreamFunction}
		h, s := startSubscriber(t, newGate(), sub, l)
		time.Sleep(time.Minute)
		// The subscription's own event.
		require.Len(t, l.deliveries(), deliveryAttempts)
		line(h, "a")
		time.Sleep(time.Minute)
		require.Len(t, l.deliveries(), 2*deliveryAttempts)
		healthy.Store(true)
		line(h, "b")
		time.Sleep(time.Minute)
		got := l.deliveries()
		last := got[len(got)-1].events
		require.Len(t, last, 2, "%v", last)
		require.Equal(t, "b", last[0])
		// The subscription's event and a, but not the events that told about the loss and got lost themselves.
		require.Contains(t, last[1], `"droppedRecords":2`)
		report := s.report(1)
		require.Equal(t, Counts{Generated: 2, Delivered: 1, Dropped: 1, Retried: deliveryAttempts - 1},
			report.Events[telemetryapi.EventFunction])
		require.Equal(t, Counts{Generated: 2, Delivered: 1, Dropped: 1, Retried: deliveryAttempts - 1},
			report.Events[telemetryapi.EventLogsDropped])
		h.close()
	})
}

// A listener that does not answer is cut off in time, and what comes meanwhile does not grow without a limit. The
// subscriber is told what it has missed.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := &fakeListener{answer: func(ctx context.Context, _ int) (int, error) {
			select {
			case <-release:
				return http.StatusOK, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}}
		sub := hundredMillis
		sub.types = []telemetryapi.Stream{telemetryapi.StreamPlatform, telemetryapi.StreamFunction}
		h, s := startSubscriber(t, newGate(), sub, l)
		time.Sleep(time.Second)
		for range 100 {
			line(h, "x")
		}
		s.mu.Lock()
		require.Len(t, s.queue, queueFactor*sub.maxItems)
		s.mu.Unlock()
		// The first is cancelled, and tried again with the same events.
		time.Sleep(deliveryTimeout)
		require.Len(t, l.deliveries(), 2)
		require.Equal(t, l.deliveries()[0].events, l.deliveries()[1].events)
		close(release)
		time.Sleep(time.Minute)
		report := s.report(1)
		require.Equal(t, Counts{Generated: 100, Delivered: 12, Dropped: 88}, report.Events[telemetryapi.EventFunction])
		require.Equal(t, Counts{Generated: 1, Delivered: 1}, report.Events[telemetryapi.EventLogsDropped])
		found := ""
		for _, d := range l.deliveries() {
			for _, e := range d.events {
				if record, ok := strings.CutPrefix(e, "platform.logsDropped "); ok {
					found = record
				}
			}
		}
		require.Contains(t, found, `"droppedRecords":88`)
		require.Contains(t, found, "slower")
		h.close()
	})
}

// A delivery that a freeze interrupts has its time afterwards.
func TestDeliveryAcrossFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		release := make(chan struct{})
		l := &fakeListener{answer: func(ctx context.Context, _ int) (int, error) {
			select {
			case <-release:
				return http.StatusOK, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}}
		h, s := startSubscriber(t, g, hundredMillis, l)
		line(h, "a")
		time.Sleep(200 * time.Millisecond)
		g.freeze()
		time.Sleep(time.Hour)
		g.thaw()
		time.Sleep(time.Second)
		close(release)
		synctest.Wait()
		require.Len(t, l.deliveries(), 1)
		require.Equal(t, Counts{Generated: 1, Delivered: 1}, s.report(1).Events[telemetryapi.EventFunction])
		h.close()
	})
}

// What is not delivered when the subscriber ends shows as pending, wherever it was.
func TestPendingAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeListener{answer: func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		h, s := startSubscriber(t, newGate(), hundredMillis, l)
		line(h, "sent")
		time.Sleep(200 * time.Millisecond)
		line(h, "buffered")
		h.close()
		require.Equal(t, Counts{Generated: 2, Pending: 2}, s.report(1).Events[telemetryapi.EventFunction])
		require.False(t, h.subscribe(s))
	})
}

// What happened before a subscription is kept for it, but not for ever.
func TestHistory(t *testing.T) {
	h := newHub(newGate(), false, func(Record) {})
	defer h.close()
	for range replayLimit + 5 {
		line(h, "x")
	}
	require.Len(t, h.history, replayLimit)
	h.closeSubscriptions()
	line(h, "y")
	require.Empty(t, h.history)
}

// A record is an object only where both the function's log format and the schema version allow it.
func TestLogRecords(t *testing.T) {
	for _, tt := range []struct {
		text   string
		json   bool
		schema string
		want   string
	}{
		{`{"a":1}`, true, "2025-01-29", `{"a":1}`},
		{`{"a":1}`, true, "2022-12-13", `{"a":1}`},
		{`{"a":1}`, true, "2022-07-01", `"{\"a\":1}"`},
		{`{"a":1}`, false, "2025-01-29", `"{\"a\":1}"`},
		{` {"a":1} `, true, "2025-01-29", ` {"a":1} `},
		{`{"a":`, true, "2025-01-29", `"{\"a\":"`},
		{`[1]`, true, "2025-01-29", `"[1]"`},
		{`"s"`, true, "2025-01-29", `"\"s\""`},
		{`<&>`, false, "2025-01-29", `"<&>"`},
		{``, true, "2025-01-29", `""`},
	} {
		var record Record
		h := newHub(newGate(), tt.json, func(r Record) { record = r })
		h.line(telemetryapi.StreamFunction, tt.text)
		got := string(h.history[0].encode(tt.schema).body)
		require.Contains(t, got, `"record":`+tt.want+`}`)
		require.True(t, json.Valid([]byte(got)))
		require.Equal(t, telemetryapi.EventFunction, record.Type)
		h.close()
	}
}
