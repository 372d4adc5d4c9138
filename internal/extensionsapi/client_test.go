// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

const testID = "b7e7a2a4-3a5e-4d3e-9d10-52a4e4a6f0c1"

// serve returns a client of an API that is handler.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c := NewClient(server.Listener.Addr().String())
	t.Cleanup(c.close)
	return c
}

// serveSession returns a session with an API of which handler is what comes after the registration.
func serveSession(t *testing.T, handler http.HandlerFunc) *Session {
	t.Helper()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/2020-01-01/extension/register" {
			handler(w, r)
			return
		}
		w.Header().Set("Lambda-Extension-Identifier", testID)
	})
	s, err := c.Register(t.Context(), "otelcol-lambda", Events(""))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestRegister(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   Registration
	}{
		"full": {
			`{"functionName":"checkout","functionVersion":"$LATEST","handler":"index.handler","accountId":"123456789012"}`,
			Registration{"checkout", "$LATEST", "index.handler", "123456789012"},
		},
		"without account": {
			`{"functionName":"checkout","functionVersion":"7","handler":"bootstrap"}`,
			Registration{"checkout", "7", "bootstrap", ""},
		},
		"with more": {`{"functionName":"checkout","partition":"aws"}`, Registration{FunctionName: "checkout"}},
		"odd":       {`{"functionName":["f"],"handler":"a\u0062\"","accountId":123456789012}`, Registration{Handler: `ab"`}},
		"emulated":  {`{"FunctionName":"f","functionversion":"1"}`, Registration{FunctionName: "f", FunctionVersion: "1"}},
		"not json":  {"<html>", Registration{}},
		"cut off":   {`{"functionName":"checkout"`, Registration{}},
		"empty":     {"", Registration{}},
	} {
		t.Run(name, func(t *testing.T) {
			requests := make(chan *http.Request, 1)
			bodies := make(chan string, 1)
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				requests <- r
				bodies <- string(body)
				w.Header().Set("Lambda-Extension-Identifier", testID)
				_, _ = io.WriteString(w, test.answer)
			})

			s, err := c.Register(t.Context(), "otelcol-lambda", []EventType{EventInvoke, EventShutdown})
			require.NoError(t, err)
			require.Equal(t, testID, s.ID())
			require.Equal(t, test.want, s.Registration())

			r := <-requests
			require.Equal(t, http.MethodPost, r.Method)
			require.Equal(t, "/2020-01-01/extension/register", r.URL.Path)
			require.Equal(t, "otelcol-lambda", r.Header.Get("Lambda-Extension-Name"))
			require.Equal(t, "accountId", r.Header.Get("Lambda-Extension-Accept-Feature"))
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, `{"events":["INVOKE","SHUTDOWN"]}`, <-bodies)
		})
	}
}

func TestRegisterRefused(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   Error
	}{
		"closed": {
			403, `{"errorType":"Extension.RegistrationClosed","errorMessage":"Extension registration closed already"}`,
			Error{403, "Extension.RegistrationClosed", "Extension registration closed already"},
		},
		"without message": {
			500, `{"errorType":"InternalServerError"}`,
			Error{500, "InternalServerError", `{"errorType":"InternalServerError"}`},
		},
		"not json":   {400, "what?", Error{400, "", "what?"}},
		"other json": {400, `["no"]`, Error{400, "", `["no"]`}},
		"long":       {502, strings.Repeat("x", 5000), Error{502, "", strings.Repeat("x", 200)}},
		"empty":      {404, "", Error{404, "", ""}},
		"redirected": {302, "", Error{302, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Lambda-Extension-Identifier", testID)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			s, err := c.Register(t.Context(), "otelcol-lambda", Events(""))
			require.Nil(t, s)
			apiErr, ok := errors.AsType[*Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, test.want, *apiErr)
			require.ErrorContains(t, err, `register extension "otelcol-lambda"`)
			require.ErrorContains(t, err, test.want.Message)
		})
	}
}

// What is done after Init must not make Lambda wait for the request that ends it.
func TestAfterInit(t *testing.T) {
	p := newPoller()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/event/next") {
			p.ServeHTTP(w, r)
			return
		}
		w.Header().Set(headerIdentifier, testID)
	})
	var calls atomic.Int32
	c.AfterInit = func() {
		<-p.arrived // Lambda has the request
		calls.Add(1)
	}
	s, err := c.Begin(t.Context(), "otelcol-lambda", Events("")).Session(t.Context())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.Do(t.Context(), &http1.Request{Method: http.MethodPut, Target: "/2022-07-01/telemetry"})
	require.NoError(t, err)
	require.Zero(t, calls.Load())
	for range 2 {
		go func() { p.answers <- `{"eventType":"INVOKE"}` }()
		_, err = s.Next(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, calls.Load())
	}
	<-p.arrived // the second one, for which nothing was called
}

func TestAfterInitThatFails(t *testing.T) {
	registers := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if registers {
			w.Header().Set(headerIdentifier, testID)
		}
	}))
	t.Cleanup(server.Close)
	var calls atomic.Int32
	begin := func() (*Session, error) {
		c := NewClient(server.Listener.Addr().String())
		c.AfterInit = func() { calls.Add(1) }
		t.Cleanup(c.close)
		return c.Begin(t.Context(), "otelcol-lambda", Events("")).Session(t.Context())
	}
	s, err := begin()
	require.NoError(t, err)
	t.Cleanup(s.Close)

	registers = false
	_, err = begin()
	require.ErrorContains(t, err, headerIdentifier)
	require.EqualValues(t, 1, calls.Load())

	server.Close()
	for range 2 {
		_, err = s.Next(t.Context())
		require.Error(t, err)
		require.EqualValues(t, 2, calls.Load())
	}
}

func TestRegisterWithoutIdentifier(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"functionName":"f"}`) })
	_, err := c.Register(t.Context(), "otelcol-lambda", Events(""))
	require.ErrorContains(t, err, "Lambda-Extension-Identifier")
}

func TestRegisterNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := NewClient(server.Listener.Addr().String()).Register(t.Context(), "otelcol-lambda", Events(""))
	require.Error(t, err)
	_, ok := errors.AsType[*Error](err)
	require.False(t, ok, "not an answer of the API: %v", err)
}

func TestRegisterEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Register(ctx, "otelcol-lambda", Events(""))
	require.ErrorIs(t, err, context.Canceled)
}

func TestBegin(t *testing.T) {
	var registrations atomic.Int32
	answer := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		registrations.Add(1)
		<-answer
		w.Header().Set("Lambda-Extension-Identifier", testID)
	})
	p := c.Begin(t.Context(), "otelcol-lambda", Events(""))

	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Session(impatient)
	require.ErrorIs(t, err, context.Canceled)
	p.Close() // has nothing to close yet, and does not wait for it

	close(answer)
	s, err := p.Session(t.Context())
	require.NoError(t, err)
	require.Equal(t, testID, s.ID())
	again, err := p.Session(t.Context())
	require.NoError(t, err)
	require.Same(t, s, again)
	require.EqualValues(t, 1, registrations.Load())
	p.Close()
	p.Close()
	_, err = s.Next(t.Context())
	require.ErrorIs(t, err, errSessionClosed)
}

func TestBeginRefused(t *testing.T) {
	var registrations atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		registrations.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})
	p := c.Begin(t.Context(), "otelcol-lambda", Events(""))
	for range 2 {
		s, err := p.Session(t.Context())
		require.Nil(t, s)
		_, ok := errors.AsType[*Error](err)
		require.True(t, ok, "%v", err)
	}
	p.Close()
	require.EqualValues(t, 1, registrations.Load())
}

func TestBeginEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Begin(ctx, "otelcol-lambda", Events("")).Session(t.Context())
	require.ErrorIs(t, err, context.Canceled)
}

func TestNext(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   Event
	}{
		"invoke": {
			`{"eventType":"INVOKE","deadlineMs":1775516174092,"requestId":"3da1f2dc",` +
				`"invokedFunctionArn":"arn:aws:lambda:…:prod",` +
				`"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-5f35ae12;Sampled=1"},"tenantId":"new"}`,
			Event{
				Type: EventInvoke, DeadlineMs: 1775516174092, RequestID: "3da1f2dc", InvokedFunctionARN: "arn:aws:lambda:…:prod",
				Tracing: &Tracing{Type: "X-Amzn-Trace-Id", Value: "Root=1-5f35ae12;Sampled=1"},
			},
		},
		"invoke without tracing": {`{"eventType":"INVOKE","requestId":"1"}`, Event{Type: EventInvoke, RequestID: "1"}},
		"shutdown": {
			`{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":1775516176092}`,
			Event{Type: EventShutdown, ShutdownReason: "spindown", DeadlineMs: 1775516176092},
		},
		"unknown": {`{"eventType":"RESTORE"}`, Event{Type: "RESTORE"}},
	} {
		t.Run(name, func(t *testing.T) {
			requests := make(chan *http.Request, 1)
			s := serveSession(t, func(w http.ResponseWriter, r *http.Request) {
				requests <- r
				_, _ = io.WriteString(w, test.answer)
			})
			event, err := s.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, test.want, event)

			r := <-requests
			require.Equal(t, http.MethodGet, r.Method)
			require.Equal(t, "/2020-01-01/extension/event/next", r.URL.Path)
			require.Equal(t, testID, r.Header.Get("Lambda-Extension-Identifier"))
		})
	}
}

func TestNextErrors(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   *Error // nil if it is not the API that refuses
	}{
		"container error": {500, `{"errorType":"Fatal","errorMessage":"gone"}`, &Error{500, "Fatal", "gone"}},
		"forbidden": {
			403, `{"errorType":"Extension.InvalidExtensionState","errorMessage":"no"}`,
			&Error{403, "Extension.InvalidExtensionState", "no"},
		},
		"not json": {200, "hello", nil},
		"empty":    {200, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			fail := true
			s := serveSession(t, func(w http.ResponseWriter, _ *http.Request) {
				if fail {
					w.WriteHeader(test.status)
					_, _ = io.WriteString(w, test.body)
					return
				}
				_, _ = io.WriteString(w, `{"eventType":"SHUTDOWN"}`)
			})
			_, err := s.Next(t.Context())
			require.Error(t, err)
			apiErr, _ := errors.AsType[*Error](err)
			require.Equal(t, test.want, apiErr)

			fail = false
			event, err := s.Next(t.Context())
			require.NoError(t, err, "a failed request is over, so the next call makes a new one")
			require.Equal(t, EventShutdown, event.Type)
		})
	}
}

// poller is the /event/next of an API that refuses a second request while one is pending, as Lambda does.
type poller struct {
	requests, pending, refused atomic.Int32
	arrived                    chan struct{}
	answers                    chan string
}

func newPoller() *poller {
	return &poller{arrived: make(chan struct{}, 100), answers: make(chan string)}
}

func (p *poller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests.Add(1)
	defer p.pending.Add(-1)
	if p.pending.Add(1) > 1 {
		p.refused.Add(1)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	p.arrived <- struct{}{}
	select {
	case answer := <-p.answers:
		_, _ = io.WriteString(w, answer)
	case <-r.Context().Done():
	}
}

func TestNextIsTakenUpAgain(t *testing.T) {
	p := newPoller()
	s := serveSession(t, p.ServeHTTP)

	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error, 1)
		go func() {
			_, err := s.Next(ctx)
			given <- err
		}()
		if p.requests.Load() == 0 {
			<-p.arrived
		}
		cancel()
		require.ErrorIs(t, <-given, context.Canceled)
	}
	require.EqualValues(t, 1, p.requests.Load())
	require.EqualValues(t, 1, p.pending.Load(), "the request stays open")

	p.answers <- `{"eventType":"INVOKE","requestId":"1"}`
	event, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1", event.RequestID)
	require.EqualValues(t, 1, p.requests.Load())

	type result struct {
		event Event
		err   error
	}
	second := make(chan result, 1)
	go func() {
		event, err := s.Next(t.Context())
		second <- result{event, err}
	}()
	<-p.arrived
	p.answers <- `{"eventType":"INVOKE","requestId":"2"}`
	r := <-second
	require.NoError(t, r.err)
	require.Equal(t, "2", r.event.RequestID)
	require.EqualValues(t, 2, p.requests.Load())
	require.Zero(t, p.refused.Load(), "never two requests at once")
}

func TestCloseAbortsNext(t *testing.T) {
	p := newPoller()
	s := serveSession(t, p.ServeHTTP)
	failed := make(chan error, 1)
	go func() {
		_, err := s.Next(t.Context())
		failed <- err
	}()
	<-p.arrived

	s.Close()
	require.ErrorIs(t, <-failed, context.Canceled)
	_, err := s.Next(t.Context())
	require.ErrorIs(t, err, errSessionClosed)
	require.EqualValues(t, 1, p.requests.Load())
	s.Close()
}

func TestCloseAbortsNextThatNobodyWaitsFor(t *testing.T) {
	p := newPoller()
	s := serveSession(t, p.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := s.Next(ctx)
		given <- err
	}()
	<-p.arrived
	cancel()
	require.ErrorIs(t, <-given, context.Canceled)
	s.Close() // goleak would find the request
}

// To ask for the next event is to say that the phase is finished.
func TestNextAsksOnlyInTime(t *testing.T) {
	p := newPoller()
	s := serveSession(t, p.ServeHTTP)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, s.pending)
}

func TestFatalErrors(t *testing.T) {
	for path, report := range map[string]func(*Session, context.Context, string, string) error{
		"/2020-01-01/extension/init/error": (*Session).InitError,
		"/2020-01-01/extension/exit/error": (*Session).ExitError,
	} {
		t.Run(path, func(t *testing.T) {
			status := http.StatusAccepted
			requests := make(chan *http.Request, 1)
			bodies := make(chan string, 1)
			s := serveSession(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				requests <- r
				bodies <- string(body)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"status":"OK"}`)
			})
			require.NoError(t, report(s, t.Context(), "Extension.ConfigInvalid", "line one\nline two"))
			r := <-requests
			require.Equal(t, http.MethodPost, r.Method)
			require.Equal(t, path, r.URL.Path)
			require.Equal(t, testID, r.Header.Get("Lambda-Extension-Identifier"))
			require.Equal(t, "Extension.ConfigInvalid", r.Header.Get("Lambda-Extension-Function-Error-Type"))
			require.JSONEq(t, `{"errorType":"Extension.ConfigInvalid","errorMessage":"line one\nline two"}`, <-bodies)

			status = http.StatusForbidden
			_, ok := errors.AsType[*Error](report(s, t.Context(), "Extension.ConfigInvalid", ""))
			require.True(t, ok)
		})
	}
}

const envProxied = "EXTENSIONSAPI_TEST_PROXIED"

// The Runtime API's address is not one that Go exempts from proxies, and the function's variables are ours, too. Go reads
// the variables once, so the calls are made by another process.
func TestNoProxy(t *testing.T) {
	if os.Getenv(envProxied) != "" {
		callThroughProxy(t)
		return
	}
	requests := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method
		w.Header().Set("Lambda-Extension-Identifier", testID)
	}))
	t.Cleanup(proxy.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoProxy$")
	cmd.Env = append(os.Environ(), envProxied+"=1",
		"HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Equal(t, http.MethodHead, <-requests)
	require.Empty(t, requests)
}

func callThroughProxy(t *testing.T) {
	t.Helper()
	const runtimeAPI = "192.0.2.1:9001" // reserved for documentation: nobody answers there
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := NewClient(runtimeAPI).Register(ctx, "otelcol-lambda", Events(""))
	require.Error(t, err)

	// An ordinary client goes through the proxy, so the test would have seen ours do so.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://"+runtimeAPI, http.NoBody)
	require.NoError(t, err)
	ordinary := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	resp, err := ordinary.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"eventType":"INVOKE","deadlineMs":1775516174092,"requestId":"1","tracing":null}`))
	f.Add(200, []byte(`{"eventType":"SHUTDOWN","deadlineMs":9223372036854775807}`))
	f.Add(403, []byte(`{"errorType":"Extension.UnknownExtensionIdentifier","errorMessage":"no"}`))
	f.Add(500, []byte("\xff\xfe"))
	now := time.Now()
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < http.StatusOK || status > 599 {
			t.Skip("not a final status of HTTP")
		}
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(headerIdentifier, testID)
			w.WriteHeader(status)
			_, _ = w.Write(body)
		})
		s, err := c.Register(t.Context(), "otelcol-lambda", Events(""))
		if err != nil {
			apiErr, ok := errors.AsType[*Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, status, apiErr.Status)
			require.GreaterOrEqual(t, status, 300)
			return
		}
		t.Cleanup(s.Close)
		require.Less(t, status, 300)
		event, err := s.Next(t.Context())
		if err != nil {
			return
		}
		require.True(t, json.Valid(body))
		require.Equal(t, event.DeadlineMs <= 0, event.Deadline(now).IsZero())
	})
}
