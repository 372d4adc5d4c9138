// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// delivered is the text of a delivery with a line for each of the milliseconds.
func delivered(milliseconds ...int) string {
	lines := make([]string, 0, len(milliseconds))
	for _, ms := range milliseconds {
		at := time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z")
		lines = append(lines, `{"time":"`+at+`","type":"function","record":"tick\n"}`)
	}
	return "[" + strings.Join(lines, ",") + "]"
}

func observe(t *testing.T, r *Redeliveries, body string) bool {
	t.Helper()
	// A body that is not JSON to its end has events too.
	batch, _ := Decode([]byte(body))
	return r.Observe([]byte(body), batch)
}

func TestRedeliveries(t *testing.T) {
	full := slices.Repeat([]int{1}, minBufferItems)
	large := `[{"time":"2026-10-08T07:30:27.768Z","type":"function","record":"` +
		strings.Repeat("x", minBufferBytes) + `"}`
	tests := []struct {
		name string
		body string
		want bool
	}{
		{name: "a line", body: delivered(1), want: true},
		{name: "lines", body: delivered(1, 2), want: true},
		{name: "lines of the same time", body: delivered(1, 1, 1), want: true},
		{name: "one item less than full, of the same time", body: delivered(full[1:]...), want: true},
		{name: "full of the same time", body: delivered(full...)},
		{name: "full of the same time, with an item that is no event", body: "[0," + delivered(full[1:]...)[1:]},
		{name: "full", body: delivered(append(full, 2)...), want: true},
		{name: "as large as it gets, of the same time", body: large + `]`},
		{name: "as large as it gets", body: large + `,` + delivered(1)[1:], want: true},
		{name: "breaks off", body: delivered(1, 2)[:100], want: true},
		{name: "some without time", body: strings.TrimSuffix(delivered(1), "]") + `,{"type":"function"}]`, want: true},
		{name: "no times", body: `[{"type":"function","record":"x"},{"type":"function","record":"y"}]`},
		{name: "no events", body: `[7]`},
		{name: "empty", body: `[]`},
		{name: "nothing", body: ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRedeliveries()
			require.False(t, observe(t, r, tt.body), "the first time")
			require.False(t, observe(t, r, delivered(9)), "another")
			for range 3 {
				require.Equal(t, tt.want, observe(t, r, tt.body))
			}
		})
	}
}

func TestRedeliveriesAreAboutTheWholeBody(t *testing.T) {
	r := NewRedeliveries()
	body := delivered(1, 2, 3)
	require.False(t, observe(t, r, body))
	for i := range body {
		other := []byte(body)
		other[i] ^= 1
		require.False(t, observe(t, r, string(other)), "%s", other)
	}
	require.False(t, observe(t, r, body+" "))
	require.False(t, observe(t, r, delivered(1, 2)), "part of it")
	require.False(t, observe(t, r, delivered(2, 3, 4)), "part of it, and more")
}

// TestRedeliveriesRemember64 holds the ring against a list of everything, with deliveries in any order.
func TestRedeliveriesRemember64(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := NewRedeliveries()
	var first []int
	again := 0
	for range 5000 {
		n := random.IntN(200)
		last := first[max(0, len(first)-rememberedDeliveries):]
		want := slices.Contains(last, n)
		require.Equal(t, want, observe(t, r, delivered(n)), "%d of %v", n, last)
		if want {
			again++
		} else {
			first = append(first, n)
		}
	}
	require.Greater(t, again, 1000)
}

func TestListenerHandlesRedeliveriesOnce(t *testing.T) {
	rec, lost := &recorder{}, &losses{}
	redelivered := make(chan int, 10)
	l, client, url := startListener(t, ListenerSettings{
		Handle: rec.handle, Lost: lost.add, Redelivered: func(events int) { redelivered <- events },
	})
	body := delivered(1, 2)
	for _, text := range []string{body, body, delivered(2, 3), body, body[:len(body)-1], body[:len(body)-1]} {
		require.Equal(t, 200, post(t, client, url, text))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Len(t, rec.types(), 5)
	require.Equal(t, Counters{Deliveries: 6, Events: 5, Redelivered: 3}, l.Counters())
	require.Equal(t, map[Loss]int{LossUndecodable: 1}, lost.all(), "what is lost is lost once")
	require.Len(t, redelivered, 3)
	require.Equal(t, 2, <-redelivered)
}

// TestListenerHandlesWhatItRefused makes sure that only what has been handled is taken for a repetition.
func TestListenerHandlesWhatItRefused(t *testing.T) {
	rec := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle})
	pad := strings.Repeat(" ", maxBodyBytes-len(delivered(1, 2)))
	require.Equal(t, 200, post(t, client, url, pad+delivered(1, 2)))
	<-rec.entered
	require.Equal(t, 200, post(t, client, url, pad+delivered(2, 3)))
	require.Equal(t, 503, post(t, client, url, pad+delivered(3, 4)))

	rec.proceed <- struct{}{}
	<-rec.entered
	require.Equal(t, 200, post(t, client, url, pad+delivered(3, 4)))
	rec.proceed <- struct{}{}
	<-rec.entered
	// While it is being handled, the answer to it is lost.
	require.Equal(t, 200, post(t, client, url, pad+delivered(3, 4)))
	rec.proceed <- struct{}{}
	require.NoError(t, l.Idle(t.Context()))
	require.Len(t, rec.types(), 6)
	require.Equal(t, Counters{Deliveries: 4, Events: 6, Rejected: 1, Redelivered: 1}, l.Counters())
}

// TestListenerLosesOnce makes sure that a delivery that was counted as lost is not passed on later, and not counted
// again.
func TestListenerLosesOnce(t *testing.T) {
	lost, calls := &losses{}, 0
	l, client, url := startListener(t, ListenerSettings{
		Lost: lost.add, Handle: func(context.Context, []Event) {
			calls++
			panic("a component")
		},
	})
	for range 3 {
		require.Equal(t, 200, post(t, client, url, delivered(1, 2)))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, 1, calls)
	require.Equal(t, map[Loss]int{LossPanic: 2}, lost.all())
}

func BenchmarkRedeliveries(b *testing.B) {
	for _, size := range []int{1 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d KiB", size>>10), func(b *testing.B) {
			r := NewRedeliveries()
			body := []byte(delivered(1, 2) + strings.Repeat(" ", size-len(delivered(1, 2))))
			batch, err := Decode(body)
			require.NoError(b, err)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r.Observe(body, batch)
			}
		})
	}
}
