// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"strings"
	"sync"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

// registration is Lambda's answer to the guard's registration, for everybody who waits for it.
type registration struct {
	done chan struct{}
	// response is nil when there was no answer. It belongs to whoever has seen done closed.
	response *http1.Response
}

// identifier is what Lambda knows the extension by, empty when it is not registered.
func (r *registration) identifier() string {
	if r.response == nil || r.response.Status != statusOK {
		return ""
	}
	return r.response.Header.Get(headerIdentifier)
}

// is tells whether a request is one of the registered extension.
func (r *registration) is(identifier string) bool {
	select {
	case <-r.done:
		return identifier != "" && identifier == r.identifier()
	default:
		return false
	}
}

// subscription remembers how Lambda answered a subscription to the Telemetry API.
type subscription struct {
	mu         sync.Mutex
	generation int
	response   *http1.Response
}

// recall returns the answer to a collector that subscribes. It is nil when Lambda is to be asked: the first time, and
// for more subscriptions of the same process. AWS Lambda Telemetry API: after Init subscribing is refused.
func (s *subscription) recall(generation int, initOver bool) *http1.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.response != nil && (initOver || s.generation != generation):
		return s.response
	case initOver:
		return refused("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")
	default:
		return nil
	}
}

func (s *subscription) remember(generation int, response *http1.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation, s.response = generation, response
}

// proxy is Lambda to one process. Requests of another process never come here, because each has an address of its own.
type proxy struct {
	guard      *Guard
	generation int
	server     http1.Server
}

func (p *proxy) handle(req *http1.Request) *http1.Response {
	switch path := req.Path(); {
	case path == pathRegister && req.Method == "POST":
		return p.register(req)
	case path == pathNext && req.Method == "GET":
		return p.next(req)
	case path == pathInitError && req.Method == "POST", path == pathExitError && req.Method == "POST":
		return p.giveUp(req)
	case path == pathTelemetry && req.Method == "PUT":
		return p.subscribe(req)
	default:
		return p.relay(req)
	}
}

func (p *proxy) register(req *http1.Request) *http1.Response {
	select {
	case <-p.guard.registration.done:
	case <-req.Done:
		return nil
	}
	response := p.guard.registration.response
	if response == nil {
		return &http1.Response{Status: statusBadGateway}
	}
	// Names of events need no parser: nothing else in a registration is in these words.
	body := string(req.Body)
	invoke := strings.Contains(body, `"`+eventInvoke+`"`)
	shutdown := strings.Contains(body, `"`+eventShutdown+`"`)
	p.guard.do(input{act: func(time.Time) { p.guard.machine.wants(p.generation, invoke, shutdown) }})
	return response
}

// next waits for an event. As in Lambda, asking is the sign of being ready.
func (p *proxy) next(req *http1.Request) *http1.Response {
	g := p.guard
	if !g.registration.is(req.Header.Get(headerIdentifier)) {
		return refused("Extension.UnknownExtensionIdentifier", "an extension must register before it asks for events")
	}
	w := &waiter{event: make(chan event, 1), done: req.Done}
	accepted := make(chan bool, 1)
	g.do(input{act: func(now time.Time) { accepted <- g.asks(now, p.generation, w) }})
	select {
	case ok := <-accepted:
		if !ok {
			return refused("Extension.InvalidExtensionState", "another request for the next event is pending, or none is allowed")
		}
	case <-g.ended:
		return nil
	}
	select {
	case e := <-w.event:
		return e.response
	case <-req.Done:
		g.do(input{act: func(now time.Time) { g.hangsUp(now, p.generation, w) }})
		return nil
	case <-g.ended:
		return nil
	}
}

// maxReportedError is how much of the body of an error report is logged.
const maxReportedError = 1 << 10

// giveUp answers a report of a fatal error, which would fail the function's environment, and keeps it here.
func (p *proxy) giveUp(req *http1.Request) *http1.Response {
	errorType := req.Header.Get(headerErrorType)
	text := string(req.Body[:min(len(req.Body), maxReportedError)])
	call := req.Path()
	p.guard.do(input{act: func(now time.Time) { p.guard.machine.givesUp(now, p.generation, call, errorType, text) }})
	return &http1.Response{
		Status: statusAccepted,
		Header: http1.Header{{Name: headerContentType, Value: typeJSON}},
		Body:   []byte(`{"status":"OK"}`),
	}
}

func (p *proxy) subscribe(req *http1.Request) *http1.Response {
	if known := p.guard.subscription.recall(p.generation, p.guard.initOver.Load()); known != nil {
		return known
	}
	response := p.passOn(req)
	if response != nil && response.Status != statusBadGateway {
		p.guard.subscription.remember(p.generation, response)
	}
	return response
}

// passOn relays a subscription over the guard's own connection if that is idle, which spares both sides another one. If
// the collector goes away meanwhile, the call ends by itself.
func (p *proxy) passOn(req *http1.Request) *http1.Response {
	client := p.guard.lambda.borrow()
	if client == nil {
		return p.relay(req)
	}
	// Lambda may close a connection as it is used again; subscribing twice does no harm.
	req.Replayable = true
	response, err := client.Do(time.Now().Add(relayTimeout), req)
	p.guard.lambda.putBack(client, err == nil)
	return relayed(response, err)
}

// relay passes a call on to Lambda as it is, over a connection of its own.
func (p *proxy) relay(req *http1.Request) *http1.Response {
	client := newClient(p.guard.address)
	defer client.Close()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-req.Done:
			client.Close()
		case <-finished:
		}
	}()
	return relayed(client.Do(time.Now().Add(relayTimeout), req))
}

func relayed(response *http1.Response, err error) *http1.Response {
	if err != nil {
		return &http1.Response{Status: statusBadGateway, Body: []byte(err.Error())}
	}
	return response
}
