// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

const testID = "5f4c1f0a-97a4-4b0d-8f9c-6a3a4c9d2e10"

// lambdaStub answers as Lambda does, with what a test wants.
type lambdaStub struct {
	address string
	// calls are what has been called, in order.
	calls chan string
	// answers are those to next, each for one call. A call waits for its answer.
	answers chan stubAnswer
	// registers is the status of the answer to a registration.
	registers int
	// subscribes answers a subscription, if set.
	subscribes http.HandlerFunc
	// connections is how many have been opened.
	connections atomic.Int32

	mu     sync.Mutex
	bodies []string
}

type stubAnswer struct {
	status int
	body   string
}

func newLambdaStub(t *testing.T) *lambdaStub {
	t.Helper()
	l := &lambdaStub{calls: make(chan string, 100), answers: make(chan stubAnswer, 100), registers: http.StatusOK}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		l.bodies = append(l.bodies, string(body))
		l.mu.Unlock()
		l.calls <- r.Method + " " + r.URL.RequestURI()
		if r.URL.Path == pathTelemetry && l.subscribes != nil {
			l.subscribes(w, r)
			return
		}
		switch r.URL.Path {
		case pathRegister:
			w.Header().Set(headerIdentifier, testID)
			w.WriteHeader(l.registers)
			_, _ = io.WriteString(w, `{"functionName":"f"}`)
		case pathNext:
			if r.Header.Get(headerIdentifier) != testID {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			select {
			case a := <-l.answers:
				if a.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(a.status)
				_, _ = io.WriteString(w, a.body)
			case <-r.Context().Done():
			}
		case "/pending":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "body was "+string(body))
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			l.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	l.address = server.Listener.Addr().String()
	return l
}

func (l *lambdaStub) invoke() {
	l.answers <- stubAnswer{http.StatusOK, fmt.Sprintf(`{"eventType":"INVOKE","requestId":"1","deadlineMs":%d}`,
		time.Now().Add(patience).UnixMilli())}
}

func (l *lambdaStub) shutdown() {
	l.answers <- stubAnswer{http.StatusOK, fmt.Sprintf(`{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":%d}`,
		time.Now().Add(patience).UnixMilli())}
}

// received are the bodies of all calls.
func (l *lambdaStub) received() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bodies)
}

// await waits for a call, and passes over others.
func (l *lambdaStub) await(t *testing.T, call string) {
	t.Helper()
	for {
		select {
		case got := <-l.calls:
			if strings.HasSuffix(got, call) {
				return
			}
		case <-time.After(patience):
			require.FailNow(t, "it was not called", call)
		}
	}
}

// host is a guard in this process, and its collector in another.
type host struct {
	*Guard
	dir    string
	stdout *os.File
	status chan int
}

func newHost(t *testing.T, l *lambdaStub, fault string) *host {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	h := &host{dir: t.TempDir(), status: make(chan int, 1)}
	h.stdout, err = os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		h.stdout.Close()
		null.Close()
	})
	h.Guard = New(Settings{
		Args:    []string{"/opt/extensions/otelcol-lambda"},
		Environ: []string{"PATH=" + os.Getenv("PATH"), envRuntimeAPI + "=" + l.address, testDir + "=" + h.dir, testFault + "=" + fault},
		Program: self,
		OTLP:    []string{anyPort},
		Stdin:   int(null.Fd()), Stdout: int(h.stdout.Fd()), Stderr: int(null.Fd()),
	})
	return h
}

func (h *host) run(t *testing.T) {
	t.Helper()
	go func() { h.status <- h.Run() }()
	t.Cleanup(func() {
		h.Signal()
		h.background.Wait()
	})
}

func (h *host) ends(t *testing.T) int {
	t.Helper()
	select {
	case status := <-h.status:
		return status
	case <-time.After(patience):
		require.FailNow(t, "it does not end")
		return 0
	}
}

func (h *host) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(h.stdout.Name())
	require.NoError(t, err)
	return string(text)
}

// refuses returns where the guard refuses what the function sends, "" if nowhere.
func (h *host) refuses() string {
	h.refuser.mu.Lock()
	defer h.refuser.mu.Unlock()
	for _, l := range h.refuser.listeners {
		return l.Address()
	}
	return ""
}

// requireRefuses waits until the guard refuses, and has it refuse a request of each protocol.
func (h *host) requireRefuses(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return h.refuses() != "" }, patience, time.Millisecond)
	address := h.refuses()
	_, err := newGRPCClient(t, address).Export(t.Context(), traces(1))
	requireRefused(t, err)
	resp, err := newHTTPClient(t).Post("http://"+address+"/v1/traces", typeJSON, strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestRun(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "")
	h.run(t)
	l.await(t, pathRegister)
	l.await(t, pathNext)
	l.invoke()
	l.await(t, pathNext)
	l.shutdown()
	require.Zero(t, h.ends(t))
	require.Empty(t, h.logged(t))
	require.Contains(t, l.received(), `{"events":["INVOKE","SHUTDOWN"]}`)
}

func TestRunManaged(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "")
	settings := h.settings
	settings.Environ = append(settings.Environ, envInitType+"="+managedInstances)
	h.Guard = New(settings)
	h.run(t)
	l.await(t, pathRegister)
	require.Contains(t, l.received(), `{"events":["SHUTDOWN"]}`)
	l.await(t, pathNext)
	l.shutdown()
	require.Zero(t, h.ends(t))
}

// A fault of the guard's own costs the telemetry, not the function.
func TestRunDegraded(t *testing.T) {
	t.Parallel()
	for _, reason := range []any{"a reason", errors.New("a reason"), 7} {
		l := newLambdaStub(t)
		h := newHost(t, l, "")
		h.run(t)
		l.await(t, pathNext)
		l.invoke()
		l.await(t, pathNext)
		for range 2 {
			h.do(input{act: func(time.Time) { panic(reason) }})
		}
		for range 3 {
			l.invoke()
			l.await(t, pathNext)
		}
		l.shutdown()
		require.Zero(t, h.ends(t))
		require.Equal(t, 1, strings.Count(h.logged(t), "The guard of the collector has failed"))
		require.Contains(t, h.logged(t), panicText(reason))
	}
}

// When there will be no collector, the function must not wait for one.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Settings){
		"wrong configuration": func(s *Settings) { s.Environ = append(s.Environ, testFault+"=config@start") },
		"missing component":   func(s *Settings) { s.Environ = append(s.Environ, testFault+"=missingeverywhere@start") },
		"no program":          func(s *Settings) { s.Program = "/not/there" },
		"too many deaths":     func(s *Settings) { s.Environ = append(s.Environ, testFault+"=exit3@start") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLambdaStub(t)
			h := newHost(t, l, "")
			settings := h.settings
			settings.Environ = settings.Environ[:len(settings.Environ)-1]
			change(&settings)
			h.Guard = New(settings)
			h.run(t)
			l.await(t, pathNext)
			for h.refuses() == "" {
				l.invoke()
				l.await(t, pathNext)
			}
			h.requireRefuses(t)
			l.shutdown()
			require.Zero(t, h.ends(t))
			require.Equal(t, 1, strings.Count(h.logged(t), "what the function sends is refused")+
				strings.Count(h.logged(t), "what it sends is refused"))
			require.Contains(t, h.logged(t), `it was refused and is lost","telemetry.self":"otelcol-lambda","requests":2`)
		})
	}
}

// A collector that comes back needs its ports, and what finds nobody there may be sent again.
func TestRunRefusesNothingBetweenCollectors(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "exit3@start")
	settings := h.settings
	settings.Environ = append(settings.Environ, testFaulty+"=3")
	h.Guard = New(settings)
	h.run(t)
	l.await(t, pathNext)
	for !strings.Contains(h.logged(t), "The collector is back") {
		l.invoke()
		l.await(t, pathNext)
		require.Empty(t, h.refuses())
	}
	l.shutdown()
	require.Zero(t, h.ends(t))
	require.Equal(t, 3, strings.Count(h.logged(t), "The collector has ended"))
	require.NotContains(t, h.logged(t), "refused")
}

// A guard with a fault stops the collector, and takes its ports when it has ended.
func TestRunDegradedRefuses(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "listen@start")
	h.run(t)
	l.await(t, pathNext)
	address, err := os.ReadFile(filepath.Join(h.dir, "listens"))
	require.NoError(t, err)
	h.do(input{act: func(time.Time) {
		h.settings.OTLP = []string{strings.TrimSpace(string(address))}
		panic("a reason")
	}})
	h.requireRefuses(t)
	l.shutdown()
	require.Zero(t, h.ends(t))
	require.Contains(t, h.logged(t), `"requests":2`)
}

// Whose log level asks for it gets to know that somebody else has a port.
func TestSayDebug(t *testing.T) {
	t.Parallel()
	for level, says := range map[string]bool{"": false, "info": false, "debug": true, "DEBUG": true} {
		l := newLambdaStub(t)
		h := newHost(t, l, "config@start")
		settings := h.settings
		settings.Environ = append(settings.Environ, envLogLevel+"="+level)
		settings.OTLP = []string{l.address}
		h.Guard = New(settings)
		h.run(t)
		l.await(t, pathNext)
		l.shutdown()
		require.Zero(t, h.ends(t))
		require.Equal(t, says, strings.Contains(h.logged(t), "address already in use"), level)
	}
}

// The collector had an event when the guard failed, so Lambda is owed a request for the next one.
func TestRunDegradedInInvocation(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "hang@init")
	h.run(t)
	l.await(t, pathTelemetry)
	h.do(input{act: func(time.Time) { panic("a reason") }})
	l.await(t, pathNext)
	h.Signal()
	require.Zero(t, h.ends(t))
}

func TestRunWithoutRegistration(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	l.registers = http.StatusForbidden
	h := newHost(t, l, "")
	settled := make(chan struct{})
	h.settings.AfterStart = func() { close(settled) }
	h.run(t)
	l.await(t, pathRegister)
	<-settled // no event will ever be asked for
	require.Eventually(t, func() bool { return strings.Contains(h.logged(t), "registration was answered with 403") },
		patience, time.Millisecond, "the collector hears what Lambda said")
	h.Signal()
	require.Zero(t, h.ends(t))
	require.Contains(t, h.logged(t), "Lambda did not register the extension")
	require.Empty(t, l.answers)
}

func TestRunRetriesNext(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "")
	for _, status := range []int{403, 0, 500, 500, 403, 0} {
		l.answers <- stubAnswer{status: status}
	}
	l.shutdown()
	h.run(t)
	require.Zero(t, h.ends(t))
	require.Empty(t, h.logged(t))
}

func TestRunEndsWhenLambdaIsGone(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	h := newHost(t, l, "")
	for range maxInternalErrors {
		l.answers <- stubAnswer{http.StatusInternalServerError, "container error"}
	}
	h.run(t)
	require.Equal(t, 1, h.ends(t))
	require.Contains(t, h.logged(t), "the Extensions API answered 500: container error")
}

func TestRetryAfter(t *testing.T) {
	count := func(errs ...error) (n int, total time.Duration) {
		f := failures{}
		for n = 1; ; n++ {
			delay, again := f.retryAfter(errs[n%len(errs)])
			if !again {
				return n, total
			}
			total += delay
		}
	}
	n, total := count(io.ErrUnexpectedEOF)
	require.Equal(t, maxFailures, n)
	require.Less(t, total, 7*time.Second)
	n, total = count(&statusError{status: 500})
	require.Equal(t, maxInternalErrors, n)
	require.Less(t, total, 100*time.Millisecond)
	n, _ = count(http1.ErrClosed)
	require.Equal(t, 1, n)
	n, _ = count(&statusError{status: 500}, &statusError{status: 403})
	require.Equal(t, 2*maxInternalErrors, n)
}

func TestRelay(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	p := &proxy{guard: newHost(t, l, "").Guard}
	done := make(chan struct{})
	response := p.handle(&http1.Request{Method: "PUT", Target: "/2020-08-15/logs?a=b", Body: []byte("{}"), Done: done})
	require.Equal(t, http.StatusTeapot, response.Status)
	require.Equal(t, "body was {}", string(response.Body))
	l.await(t, "PUT /2020-08-15/logs?a=b")

	// A collector that goes away does not leave its call behind.
	go func() {
		l.await(t, "/pending")
		close(done)
	}()
	response = p.handle(&http1.Request{Method: "GET", Target: "/pending", Done: done})
	require.Equal(t, statusBadGateway, response.Status)
}

// The subscription goes over the guard's own connection, and whatever becomes of it, events are asked for as ever.
func TestRunSubscription(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
	for name, test := range map[string]struct {
		// answers are what comes back to each subscription, as it is, before the connection is closed; "" is "OK" and the
		// connection stays.
		answers []string
		// status is what the collector gets to see.
		status string
		// connections is how many there are in the end, with the one for events.
		connections int32
	}{
		"answered":                 {[]string{""}, "200 OK", 1},
		"answered, then closed":    {[]string{ok + "Connection: close\r\n\r\n\"OK\""}, "200 OK", 2},
		"answered, and closed":     {[]string{ok + "\r\n\"OK\""}, "200 OK", 2},
		"answered with more":       {[]string{ok + "\r\n\"OK\"HTTP/1.1 200 OK\r\n"}, "200 OK", 2},
		"not answered, then again": {[]string{"-", ""}, "200 OK", 2},
		"answered in part":         {[]string{ok + "\r\n\"O", ""}, "502 Bad Gateway", 2},
		"answered with nonsense":   {[]string{"nonsense\r\n\r\n", ""}, "502 Bad Gateway", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLambdaStub(t)
			var n atomic.Int32
			l.subscribes = func(w http.ResponseWriter, _ *http.Request) {
				answer := test.answers[n.Add(1)-1]
				if answer == "" {
					_, _ = io.WriteString(w, `"OK"`)
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Errorf("hijack: %s", err)
					return
				}
				_, _ = io.WriteString(conn, strings.TrimPrefix(answer, "-"))
				conn.Close()
			}
			h := newHost(t, l, "")
			h.run(t)
			l.await(t, pathTelemetry)
			l.await(t, pathNext)
			l.invoke()
			l.await(t, pathNext)
			require.Equal(t, test.connections, l.connections.Load())
			l.shutdown()
			require.Zero(t, h.ends(t))
			require.Empty(t, h.logged(t))
			calls, err := os.ReadFile(filepath.Join(h.dir, "calls"))
			require.NoError(t, err)
			require.Contains(t, string(calls), "1 "+pathTelemetry+" "+test.status)
		})
	}
}

// A subscription that hangs keeps the connection, and the guard opens another one to ask for events.
func TestRunSubscriptionHangs(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	answer := make(chan struct{})
	l.subscribes = func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
			_, _ = io.WriteString(w, `"OK"`)
		case <-r.Context().Done():
			t.Error("the subscription was given up")
		}
	}
	h := newHost(t, l, "")
	h.run(t)
	l.await(t, pathTelemetry)
	// Init's time is up now, however long the collector took to get here.
	h.do(input{act: func(now time.Time) { h.machine.timeUp(now, h.machine.sequence) }})
	l.await(t, pathNext)
	require.EqualValues(t, 2, l.connections.Load())
	l.invoke()
	l.await(t, pathNext)
	close(answer)
	for !strings.Contains(h.logged(t), "The collector is back") {
		l.invoke()
		l.await(t, pathNext)
	}
	require.EqualValues(t, 2, l.connections.Load())
	l.shutdown()
	require.Zero(t, h.ends(t))
}

func TestConnection(t *testing.T) {
	newConnection := func() (*connection, *http1.Client) {
		c := &connection{address: "127.0.0.1:1"}
		return c, c.open()
	}
	isClosed := func(client *http1.Client) bool {
		_, err := client.Do(time.Now().Add(patience), &http1.Request{Method: "GET", Target: "/"})
		return errors.Is(err, http1.ErrClosed)
	}
	t.Run("of the registration", func(t *testing.T) {
		c, first := newConnection()
		require.Nil(t, c.borrow(), "the registration is under way")
		c.rest()
		require.Same(t, first, c.borrow())
		require.Nil(t, c.borrow(), "it is lent")
		c.putBack(first, true)
		require.Same(t, first, c.borrow())
		c.putBack(first, true)
		require.Same(t, first, c.claim())
		require.Nil(t, c.borrow(), "a request for an event may be under way")
		require.Same(t, first, c.claim())
		require.False(t, isClosed(first))
		c.close()
		require.True(t, isClosed(first))
	})
	t.Run("not registered", func(t *testing.T) {
		c, first := newConnection()
		require.Same(t, first, c.claim())
	})
	t.Run("claimed while it is lent", func(t *testing.T) {
		for _, good := range []bool{true, false} {
			c, first := newConnection()
			c.rest()
			require.Same(t, first, c.borrow())
			second := c.claim()
			require.NotSame(t, first, second)
			require.False(t, isClosed(first))
			c.putBack(first, good)
			require.True(t, isClosed(first), "nobody has it any more")
			require.Nil(t, c.borrow())
			require.Same(t, second, c.claim())
			require.False(t, isClosed(second))
		}
	})
	t.Run("put back and not good", func(t *testing.T) {
		c, first := newConnection()
		c.rest()
		c.putBack(c.borrow(), false)
		require.True(t, isClosed(first))
		require.Nil(t, c.borrow())
		second := c.claim()
		require.False(t, isClosed(second))
		c.close()
		require.True(t, isClosed(second))
	})
	t.Run("closed while it is lent", func(t *testing.T) {
		c, first := newConnection()
		c.rest()
		require.Same(t, first, c.borrow())
		c.close()
		require.True(t, isClosed(first))
		require.True(t, isClosed(c.claim()))
	})
}

func TestSubscriptionRecall(t *testing.T) {
	var s subscription
	require.Nil(t, s.recall(1, false))
	require.Equal(t, http.StatusForbidden, s.recall(1, true).Status, "Lambda would refuse it")
	first := &http1.Response{Status: http.StatusAccepted}
	s.remember(1, first)
	require.Nil(t, s.recall(1, false), "a second one of the same process is Lambda's to judge")
	require.Same(t, first, s.recall(2, false))
	require.Same(t, first, s.recall(2, true))
}

// runProgram runs the guard's program in a layer with the test collector.
func runProgram(t *testing.T, api string, args ...string) (r *rig, cmd *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	layer := t.TempDir()
	for _, folder := range []string{"extensions", "otelcol-lambda"} {
		require.NoError(t, os.Mkdir(filepath.Join(layer, folder), 0o755))
	}
	name := filepath.Join(layer, "extensions", "otelcol-lambda")
	require.NoError(t, os.Link(guardProgram(t), name))
	require.NoError(t, os.Symlink(self, filepath.Join(layer, "otelcol-lambda", "collector")))
	r = &rig{t: t, dir: t.TempDir(), output: &output{t: t}}
	cmd = exec.CommandContext(t.Context(), name, args...)
	cmd.Env = []string{testDir + "=" + r.dir, envRuntimeAPI + "=" + api, "GORACE=atexit_sleep_ms=0", "X=1"}
	cmd.Stdout, cmd.Stderr = r.output, r.output
	return r, cmd
}

// Where the guard has nothing to do or cannot do it, the collector takes its place.
func TestBecomesTheCollector(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		api  string
		args []string
		says []string
	}{
		"a name that needs DNS": {"api.example.invalid:80", nil, []string{"warn: The collector runs without its guard"}},
		"no address":            {"here", nil, []string{"warn: The collector runs without its guard"}},
		"arguments":             {"127.0.0.1:1", []string{"validate"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, cmd := runProgram(t, test.api, test.args...)
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, 9, exit.ExitCode(), "it is the test collector, which has nobody to register with")
			requireMessages(t, test.says, r.output.messages(t))
			require.Equal(t, fmt.Sprint(cmd.Process.Pid, " otelcol-lambda"), r.lines("starts")[0])
			require.ElementsMatch(t, cmd.Env, r.lines("environ"))
		})
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for initType, invocations := range map[string]int{"on-demand": 2, managedInstances: 1} {
			l := newLambdaStub(t)
			r, cmd := runProgram(t, l.address)
			cmd.Env = append(cmd.Env, envInitType+"="+initType)
			require.NoError(t, cmd.Start())
			l.await(t, pathNext)
			for range invocations { // the handler is there when it has asked for one more event than has to be
				l.invoke()
				l.await(t, pathNext)
			}
			require.NoError(t, cmd.Process.Signal(signal))
			require.NoError(t, cmd.Wait())
			requireMessages(t, []string{unclean}, r.output.messages(t)) // the test collector knows nothing of signals
		}
	}
}

// Until the first invocation is over the guard has no handler, and its collector ends with it.
func TestSignalInFirstInvocation(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	r, cmd := runProgram(t, l.address)
	require.NoError(t, cmd.Start())
	l.await(t, pathNext)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, "signal: terminated", exit.String())
	requireGone(t, r.pid())
}

// The readers of stdout and stderr may be gone, or not read.
func TestOutputThatNobodyReads(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	_, cmd := runProgram(t, l.address)
	cmd.Env = append(cmd.Env, testFault+"=flood@start")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, read.Close())
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	l.await(t, pathNext)
	for range 3 {
		l.invoke()
		l.await(t, pathNext)
	}
	l.shutdown()
	require.NoError(t, cmd.Wait())
}

// A program that asks for events as somebody else, or before it has registered, gets what it would get from Lambda.
func TestNextOfTheUnregistered(t *testing.T) {
	g := New(Settings{Environ: []string{envRuntimeAPI + "=127.0.0.1:1"}})
	p := &proxy{guard: g}
	next := func(identifier string) int {
		response := p.next(&http1.Request{Header: http1.Header{{Name: headerIdentifier, Value: identifier}}})
		return response.Status
	}
	require.Equal(t, http.StatusForbidden, next(testID), "nobody is registered yet")
	g.registration.response = &http1.Response{
		Status: http.StatusOK, Header: http1.Header{{Name: headerIdentifier, Value: testID}},
	}
	close(g.registration.done)
	require.Equal(t, http.StatusForbidden, next(""))
	require.Equal(t, http.StatusForbidden, next("another"))
	require.True(t, g.registration.is(testID))
}

// A program on a slow disk starts slowly, and the guard stands still until it has. By then Lambda must have been asked for the
// next event.
func TestRestartAfterTheNextEventIsAskedFor(t *testing.T) {
	t.Parallel()
	l := newLambdaStub(t)
	r, cmd := runProgram(t, l.address)
	collector := filepath.Join(filepath.Dir(filepath.Dir(cmd.Path)), "otelcol-lambda", "collector")
	require.NoError(t, os.Remove(collector))
	require.NoError(t, os.WriteFile(collector, []byte("#!/bin/sh\nexit 1\n"), 0o700)) //nolint:gosec // a program
	// As in cmd/guard.
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	require.NoError(t, cmd.Start())
	l.await(t, pathNext) // after two deaths: the next start is at the second event
	l.invoke()
	l.await(t, pathNext)

	// Nobody can open the file, and so nobody start the program, until it has been closed here.
	file, err := os.OpenFile(collector, os.O_RDONLY, 0)
	require.NoError(t, err)
	defer file.Close()
	require.Eventually(t, func() bool {
		_, _, errno := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETLEASE, syscall.F_WRLCK)
		return errno == 0
	}, patience, time.Millisecond)
	l.invoke()
	l.await(t, pathNext)
	// The kernel takes the file back after a while.
	locks, err := os.ReadFile("/proc/locks")
	require.NoError(t, err)
	require.NotRegexp(t, fmt.Sprintf(`LEASE +ACTIVE +READ +%d `, os.Getpid()), string(locks))
	require.NoError(t, file.Close())
	l.shutdown()
	require.NoError(t, cmd.Wait())
	require.Len(t, r.output.messages(t), 3)
}
