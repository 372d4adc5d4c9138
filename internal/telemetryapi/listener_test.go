// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// losses adds up what it is told.
type losses struct {
	mu    sync.Mutex
	items map[Loss]int
}

func (l *losses) add(loss Loss, items int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.items == nil {
		l.items = map[Loss]int{}
	}
	l.items[loss] += items
}

func (l *losses) all() map[Loss]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.items)
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
	require.Equal(t, Counters{Deliveries: 50, Events: 100, Unknown: 100}, l.Counters())

	resp, err := do(t, client, http.MethodGet, url, nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 405, resp.StatusCode)
}

func TestListenerAnswersNonsenseWithSuccess(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec, lost := &recorder{}, &losses{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Lost: lost.add, Logger: zap.New(logs)})
	for range 3 {
		require.Equal(t, 200, post(t, client, url, ""))
		require.Equal(t, 200, post(t, client, url, "not json"))
		require.Equal(t, 200, post(t, client, url, `[{"type":"good"},7,{},{"type":"cut`))
		require.Equal(t, 200, post(t, client, url, `[]`))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"good", "good", "good"}, rec.types())
	require.Equal(t, Counters{Deliveries: 12, Events: 3, Unknown: 3}, l.Counters())
	require.Equal(t, map[Loss]int{LossMalformed: 6, LossUndecodable: 9}, lost.all())
	require.Equal(t, 2, observed.Len(), "one line for each kind of problem: %v", observed.All())
}

func TestListenerDropsOversizedBodies(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec, lost := &recorder{}, &losses{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Lost: lost.add, Logger: zap.New(logs)})
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
	require.Equal(t, Counters{Deliveries: 1, Events: 1, Unknown: 1}, l.Counters())
	require.Equal(t, map[Loss]int{LossOversized: 2}, lost.all())
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
	require.Equal(t, Counters{Deliveries: 2, Events: 1, Unknown: 1, Rejected: 1}, l.Counters())
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
	rec, lost := &recorder{}, &losses{}
	handle := func(ctx context.Context, events []Event) {
		if events[0].Type == "bad" {
			panic("not ours")
		}
		rec.handle(ctx, events)
	}
	l, client, url := startListener(t, ListenerSettings{Handle: handle, Lost: lost.add, Logger: zap.New(logs)})
	for range 2 {
		require.Equal(t, 200, post(t, client, url, `[{"type":"bad"},{"type":"good"},1]`))
		require.Equal(t, 200, post(t, client, url, `[{"type":"good"}]`))
	}
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"good", "good"}, rec.types())
	require.Equal(t, map[Loss]int{LossPanic: 4, LossMalformed: 2}, lost.all())
	require.Equal(t, 1, observed.FilterMessageSnippet("panic").Len())
}

func TestListenerShutdownHandlesWhatWasAccepted(t *testing.T) {
	rec := &recorder{entered: make(chan struct{}), proceed: make(chan struct{})}
	lost := &losses{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle, Lost: lost.add})
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
	require.Empty(t, lost.all())
	require.NoError(t, l.Shutdown(t.Context()), "again")
	_, err := do(t, client, http.MethodPost, url, nil) //nolint:bodyclose // there is no answer
	require.Error(t, err)
}

// idleListener is one to which nobody connects.
type idleListener struct {
	closed chan struct{}
	close  func()
}

func newIdleListener() idleListener {
	closed := make(chan struct{})
	return idleListener{closed: closed, close: sync.OnceFunc(func() { close(closed) })}
}

func (l idleListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l idleListener) Close() error {
	l.close()
	return nil
}

func (idleListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestListenerShutdownIsBounded(t *testing.T) {
	const patience = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		// handle returns this long after its context has ended.
		late time.Duration
		took time.Duration
	}{
		"Handle heeds its context":      {took: patience},
		"Handle takes a moment":         {late: handleGrace / 2, took: patience + handleGrace/2},
		"Handle has its own idea of it": {late: time.Hour, took: patience + handleGrace},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lost, handled := &losses{}, 0
				l := NewListener(ListenerSettings{
					Listener: newIdleListener(),
					Lost:     lost.add,
					Handle: func(ctx context.Context, _ []Event) {
						handled++
						<-ctx.Done()
						time.Sleep(tt.late)
					},
				})
				l.Serve()
				for range 3 {
					require.True(t, l.queue.put(t.Context(), []byte(`[{"type":"a"},{"type":"b"}]`), 0))
				}
				synctest.Wait()

				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				require.ErrorIs(t, l.Shutdown(ctx), context.DeadlineExceeded)
				require.Equal(t, tt.took, time.Since(start))
				require.Equal(t, map[Loss]int{LossAbandoned: 2}, lost.all(), "one for each delivery that was not begun")
				require.ErrorIs(t, l.Shutdown(t.Context()), context.DeadlineExceeded, "the result stays")

				require.NoError(t, l.Idle(t.Context()))
				require.Equal(t, 1, handled)
				require.Equal(t, map[Loss]int{LossAbandoned: 2}, lost.all())
			})
		})
	}
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

// Whoever keeps connections open without a need does not keep Lambda away.
func TestListenerBoundsConnections(t *testing.T) {
	rec := &recorder{}
	l, client, url := startListener(t, ListenerSettings{Handle: rec.handle})
	var conns []net.Conn
	for range maxConnections + 5 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	require.Equal(t, 200, post(t, client, url, `[{"type":"a"}]`))
	require.NoError(t, l.Idle(t.Context()))
	require.Equal(t, []string{"a"}, rec.types())
	for _, conn := range conns[:5] {
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}

func TestListenerRefusesTornBody(t *testing.T) {
	logs, observed := observer.New(zapcore.DebugLevel)
	rec := &recorder{}
	l, _, url := startListener(t, ListenerSettings{Handle: rec.handle, Logger: zap.New(logs)})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{\"type\":\"a\"}]")
	require.NoError(t, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 503 ", "Lambda sends all of it again")
	require.NoError(t, conn.Close())
	require.Empty(t, rec.types())
	require.Equal(t, Counters{Rejected: 1}, l.Counters())
	require.Zero(t, observed.Len())
}

// A delivery that does not come to its end does not keep one of the few connections for ever.
func TestListenerGivesUpSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipeListener()
		l := NewListener(ListenerSettings{Listener: pipes})
		l.Serve()
		conn := pipes.dial()
		start := time.Now()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 503, resp.StatusCode)
		require.Equal(t, readTimeout, time.Since(start))
		require.NoError(t, conn.Close())
		require.NoError(t, l.Shutdown(t.Context()))
	})
}

// A body beyond all measure is lost like one that is only too large, and not sent again for ever.
func TestListenerDropsWhatIsAnnouncedTooLarge(t *testing.T) {
	lost := &losses{}
	_, client, url := startListener(t, ListenerSettings{Handle: (&recorder{}).handle, Lost: lost.add})
	resp, err := do(t, client, http.MethodPost, url, strings.NewReader(strings.Repeat(" ", maxBodyBytes+maxDiscardBytes+1)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, map[Loss]int{LossOversized: 1}, lost.all())
}

// A delivery that waits for room does not hold the environment's last moments up.
func TestListenerShutdownWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := newPipeListener()
		l := NewListener(ListenerSettings{Listener: pipes, Handle: func(ctx context.Context, _ []Event) { <-ctx.Done() }})
		l.Serve()
		for range 2 {
			require.True(t, l.queue.put(t.Context(), []byte(`[{"type":"`+strings.Repeat("x", maxBodyBytes-100)+`"}]`), 0))
			synctest.Wait() // the first is taken
		}
		conn := pipes.dial()
		body := `[{"type":"` + strings.Repeat("x", maxBodyBytes-100) + `"}]`
		go func() {
			_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}()
		synctest.Wait()
		const patience = 20 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, l.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, patience, time.Since(start))
		_ = conn.Close()
	})
}

// Between deliveries hours may pass, most of them while the environment is frozen.
func TestListenerKeepsIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{}
		pipes := newPipeListener()
		l := NewListener(ListenerSettings{Listener: pipes, Handle: rec.handle})
		l.Serve()
		conn := pipes.dial()
		answers := bufio.NewReader(conn)
		for range 3 {
			time.Sleep(12 * time.Hour)
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n[{\"type\":\"a\"}]")
			require.NoError(t, err)
			resp, err := http.ReadResponse(answers, nil)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 200, resp.StatusCode)
		}
		require.NoError(t, l.Shutdown(t.Context()))
		require.Len(t, rec.types(), 3)
	})
}

// pipeListener accepts connections in memory, for which synctest's clock holds.
type pipeListener struct {
	idleListener
	conns chan net.Conn
}

func newPipeListener() pipeListener {
	return pipeListener{idleListener: newIdleListener(), conns: make(chan net.Conn)}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- there
	return here
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
		l.server.Report(errors.New("some connection did something"))
	}
	require.Equal(t, 1, observed.Len())
	require.NoError(t, l.Shutdown(t.Context()))
}
