// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// recorder is a Handle that keeps what it was given, and can be held up.
type recorder struct {
	mu     sync.Mutex
	events []Event
	// entered gets a value with each call, if it is set; then the call waits for one from proceed.
	entered, proceed chan struct{}
}

func (r *recorder) handle(_ context.Context, events []Event) {
	if r.entered != nil {
		r.entered <- struct{}{}
		<-r.proceed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, events...)
}

func (r *recorder) types() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var types []string
	for _, e := range r.events {
		types = append(types, string(e.Type))
	}
	return types
}

func startListener(t *testing.T, settings ListenerSettings) (*Listener, *http.Client, string) {
	t.Helper()
	l := NewListener(settings)
	require.NoError(t, l.Listen())
	l.Serve()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		// Tests that hold Handle up have let it go by now.
		require.NoError(t, l.Shutdown(context.Background()))
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return l, client, "http://127.0.0.1:" + port
}

func post(t *testing.T, client *http.Client, url, body string) int {
	t.Helper()
	resp, err := do(t, client, http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Empty(t, answer)
	return resp.StatusCode
}

// do sends a request. Goroutines may call it: it fails no test.
func do(t *testing.T, client *http.Client, method, url string, body io.Reader) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

func TestListenerDelivers(t *testing.T) {
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle})
	addr, ok := l.Addr().(*net.TCPAddr)
	require.True(t, ok)
	require.Equal(t, "0.0.0.0", addr.IP.String())
	require.Equal(t, fmt.Sprintf("http://sandbox.localdomain:%d/", addr.Port), l.URI())

	var want []string
	for i := range 50 {
		name := fmt.Sprintf("platform.%d", i)
		want = append(want, name, name)
		require.Equal(t, 200, post(t, client, fmt.Sprintf("%s/any/%d?x=y", url, i), `[{"type":"`+name+`"},{"type":"`+name+`"}]`))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, want, rec.types())
	require.Equal(t, Counters{Deliveries: 50, Events: 100}, l.Counters())

	resp, err := do(t, client, http.MethodGet, url, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 405, resp.StatusCode)
}

func TestListenerAnswersNonsenseWithSuccess(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Logger: zap.New(logs)})
	for range 3 {
		require.Equal(t, 200, post(t, client, url, ""))
		require.Equal(t, 200, post(t, client, url, "not json"))
		require.Equal(t, 200, post(t, client, url, `[{"type":"good"},7,{"type":"cut`))
		require.Equal(t, 200, post(t, client, url, `[]`))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"good", "good", "good"}, rec.types())
	require.Equal(t, Counters{Deliveries: 12, Events: 3, Malformed: 3, Undecodable: 9}, l.Counters())
	require.Equal(t, 2, observed.Len(), "one line for each kind of problem: %v", observed.All())
}

func TestListenerDropsOversizedBodies(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Logger: zap.New(logs)})
	huge := `[{"type":"huge","record":"` + strings.Repeat("x", maxBodyBytes) + `"}]`
	require.Equal(t, 200, post(t, client, url, huge))

	// Without a Content-Length.
	resp, err := do(t, client, http.MethodPost, url, io.MultiReader(strings.NewReader(huge)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)

	// The largest body that is let in.
	fits := `[{"type":"fits","record":"` + strings.Repeat("x", maxBodyBytes-len(`[{"type":"fits","record":""}]`)) + `"}]`
	require.Len(t, fits, maxBodyBytes)
	require.Equal(t, 200, post(t, client, url, fits))
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"fits"}, rec.types())
	require.Equal(t, Counters{Deliveries: 1, Events: 1, Oversized: 2}, l.Counters())
	require.Equal(t, 1, observed.Len())
}

func TestListenerRefusesWhenFull(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Logger: zap.New(logs)})
	body := `[{"type":"big","record":"` + strings.Repeat("x", maxBodyBytes-100) + `"}]`
	require.Equal(t, 200, post(t, client, url, body))
	<-rec.entered
	require.Equal(t, 200, post(t, client, url, body))

	start := time.Now()
	require.Equal(t, 503, post(t, client, url, body))
	require.GreaterOrEqual(t, time.Since(start), queueWait)
	require.Equal(t, Counters{Deliveries: 2, Events: 1, Rejected: 1}, l.Counters())
	require.Equal(t, 1, observed.Len())

	// The delivery comes again, and waits just until there is room.
	answered := make(chan int)
	go func() { answered <- post(t, client, url, body) }()
	rec.proceed <- struct{}{}
	require.Equal(t, 200, <-answered)
	<-rec.entered
	rec.proceed <- struct{}{}
	<-rec.entered
	rec.proceed <- struct{}{}
	require.NoError(t, l.Idle(t.Context()))
	require.Len(t, rec.types(), 3)
}

func TestListenerSurvivesPanic(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{}
	handle := func(ctx context.Context, events []Event) {
		if events[0].Type == "bad" {
			panic("not ours")
		}
		rec.handle(ctx, events)
	}
	l, client, url := startListener(t, ListenerSettings{Handle: handle, Logger: zap.New(logs)})
	for range 2 {
		require.Equal(t, 200, post(t, client, url, `[{"type":"bad"}]`))
		require.Equal(t, 200, post(t, client, url, `[{"type":"good"}]`))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"good", "good"}, rec.types())
	require.EqualValues(t, 2, l.Counters().Panics)
	require.Equal(t, 1, observed.Len())
}

func TestListenerShutdownHandlesWhatWasAccepted(t *testing.T) {
	rec := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle})
	for range 3 {
		require.Equal(t, 200, post(t, client, url, `[{"type":"a"}]`))
	}
	done := make(chan error)
	go func() { done <- l.Shutdown(context.Background()) }()
	for range 3 {
		<-rec.entered
		rec.proceed <- struct{}{}
	}
	require.NoError(t, <-done)
	require.Len(t, rec.types(), 3)
	require.NoError(t, l.Shutdown(t.Context()), "again")
	_, err := do(t, client, http.MethodPost, url, nil) //nolint:bodyclose // there is no answer
	require.Error(t, err)
}

func TestListenerShutdownIsBounded(t *testing.T) {
	entered := make(chan struct{})
	l := NewListener(ListenerSettings{Handle: func(ctx context.Context, _ []Event) {
		close(entered)
		<-ctx.Done()
	}})
	require.NoError(t, l.Listen())
	l.Serve()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	url := "http://127.0.0.1:" + strings.Split(l.Addr().String(), ":")[1]
	require.Equal(t, 200, post(t, client, url, `[{"type":"a"}]`))
	<-entered
	require.Equal(t, 200, post(t, client, url, `[{"type":"b"}]`))

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, l.Shutdown(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, l.Shutdown(t.Context()), context.DeadlineExceeded, "the result stays")
	require.NoError(t, l.Idle(t.Context()), "the worker gives up what is left")
	require.EqualValues(t, 1, l.Counters().Abandoned)
}

func TestListenerShutdownWithoutServe(t *testing.T) {
	require.NoError(t, NewListener(ListenerSettings{}).Shutdown(t.Context()), "without Listen")

	l := NewListener(ListenerSettings{})
	require.Nil(t, l.Addr())
	require.Empty(t, l.URI())
	require.NoError(t, l.Listen())
	address := l.Addr().String()
	require.NoError(t, l.Shutdown(t.Context()))
	l.Serve()
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.Replace(address, "0.0.0.0", "127.0.0.1", 1))
	require.Error(t, err, "the port is free again, and Serve after Shutdown does nothing")
}

func TestListenerTakesListener(t *testing.T) {
	inherited, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Listener: inherited, Handle: rec.handle})
	require.Equal(t, inherited.Addr(), l.Addr())
	require.Equal(t, 200, post(t, client, url, `[{"type":"a"}]`))
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"a"}, rec.types())
}

func TestListenPortInUse(t *testing.T) {
	taken := NewListener(ListenerSettings{})
	require.NoError(t, taken.Listen())
	defer func() { require.NoError(t, taken.Shutdown(t.Context())) }()
	addr, ok := taken.Addr().(*net.TCPAddr)
	require.True(t, ok)
	err := NewListener(ListenerSettings{Port: addr.Port}).Listen()
	require.ErrorContains(t, err, "listen for telemetry")
	require.ErrorContains(t, err, "address already in use")
}

func TestListenerBoundsConnections(t *testing.T) {
	l, client, url := startListener(t, ListenerSettings{Handle: (&recorder{}).handle})
	address := strings.TrimPrefix(url, "http://")
	for range maxConnections + 5 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		defer conn.Close()
	}
	require.Eventually(t, func() bool { return l.connections.Load() == maxConnections }, 5*time.Second, time.Millisecond)
	_, err := do(t, client, http.MethodPost, url, strings.NewReader("[]")) //nolint:bodyclose // there is no answer
	require.Error(t, err)
}

func TestListenerRefusesTornBody(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{}
	l, _, url := startListener(t, ListenerSettings{Handle: rec.handle, Logger: zap.New(logs)})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{\"type\":\"a\"}]")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return l.Counters().Rejected == 1 }, 5*time.Second, time.Millisecond)
	require.Empty(t, rec.types(), "Lambda has not had an answer, so it sends all of it again")
	require.Zero(t, observed.Len())
}

func TestListenerConcurrentDeliveries(t *testing.T) {
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				resp, err := do(t, client, http.MethodPost, url, strings.NewReader(`[{"type":"a"}]`))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Error(resp.Status)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Idle(t.Context()))
	require.Len(t, rec.types(), 200)
}

func TestListenerSaysOnceThatAConnectionHasTrouble(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	l := NewListener(ListenerSettings{Logger: zap.New(logs)})
	for range 3 {
		l.server.ErrorLog.Print("http: some connection did something")
	}
	require.Equal(t, 1, observed.Len())
	require.NoError(t, l.Shutdown(t.Context()))
}
