// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/rawjson"
)

const (
	basePath = "/2020-01-01/extension"

	headerName          = "Lambda-Extension-Name"
	headerIdentifier    = "Lambda-Extension-Identifier"
	headerAcceptFeature = "Lambda-Extension-Accept-Feature"
	headerErrorType     = "Lambda-Extension-Function-Error-Type"
	headerContentType   = "Content-Type"
	typeJSON            = "application/json"
)

// Error is a refusal by the Extensions API.
type Error struct {
	// Status is the HTTP status: 400, 403 or 500. 500 means that the environment cannot recover.
	Status int `json:"-"`
	// Type is Lambda's name for the error, such as Extension.RegistrationClosed. It may be empty.
	Type string `json:"errorType"`
	// Message is Lambda's text, or the beginning of an answer that was not understood.
	Message string `json:"errorMessage"`
}

func (e *Error) Error() string {
	return fmt.Sprintf("the Extensions API answered %d %s: %s", e.Status, e.Type, e.Message)
}

// Client reaches the Extensions API before registration.
type Client struct {
	// AfterInit, if set, is called once, when the first event has been asked for, or the registration that Begin began has
	// failed: until then, what takes CPU takes it from the function's own Init. The answer is not read before it returns.
	AfterInit func()

	address   string
	afterInit sync.Once
	// idle is the connection while no call uses it, nil before the first one.
	idle atomic.Pointer[connection]
}

// NewClient returns a client of the API at runtimeAPI, the host:port in AWS_LAMBDA_RUNTIME_API. There is no timeout: the
// process may be frozen for hours inside Next, and every other call is bounded by its context.
func NewClient(runtimeAPI string) *Client { return &Client{address: runtimeAPI} }

// Register announces the extension, which opens the way to everything else. The name must be the base name of the
// executable in /opt/extensions: Lambda takes any other for an internal extension and lets Init run into its time
// limit. The error is an *Error when Lambda refused.
func (c *Client) Register(ctx context.Context, name string, events []EventType) (*Session, error) {
	resp, err := c.call(ctx, &http1.Request{
		Method: http.MethodPost,
		Target: basePath + "/register",
		Header: http1.Header{
			{Name: headerName, Value: name},
			{Name: headerAcceptFeature, Value: "accountId"},
			{Name: headerContentType, Value: typeJSON},
		},
		Body: append(rawjson.AppendStrings([]byte(`{"events":`), events), '}'),
	})
	if err != nil {
		return nil, fmt.Errorf("register extension %q: %w", name, err)
	}
	id := resp.Header.Get(headerIdentifier)
	if id == "" {
		return nil, fmt.Errorf("register extension %q: the answer has no %s header", name, headerIdentifier)
	}
	s := &Session{client: c, id: id, ask: http1.Request{
		Method: http.MethodGet,
		Target: basePath + "/event/next",
		Header: http1.Header{{Name: headerIdentifier, Value: id}},
		// To ask for the same event twice is to get it once.
		Replayable: true,
		Written:    c.initIsOver,
	}}
	s.life, s.end = context.WithCancel(context.Background())
	s.registration = decodeRegistration(resp.Body)
	return s, nil
}

// Pending is a registration under way.
type Pending struct {
	done    chan struct{}
	session *Session
	err     error
}

// Begin registers in the background, so that the process can get ready meanwhile. The registration is given up when
// ctx ends.
func (c *Client) Begin(ctx context.Context, name string, events []EventType) *Pending {
	p := &Pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		if p.session, p.err = c.Register(ctx, name, events); p.err != nil {
			c.initIsOver()
		}
	}()
	return p
}

// Session waits for the registration until ctx ends. It returns the same session to every caller.
func (p *Pending) Session(ctx context.Context) (*Session, error) {
	select {
	case <-p.done:
		return p.session, p.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for Lambda to answer the registration: %w", ctx.Err())
	}
}

// Close closes the session, if there is one yet. A registration under way goes on until its context ends.
func (p *Pending) Close() {
	select {
	case <-p.done:
		if p.session != nil {
			p.session.Close()
		}
	default:
	}
}

func (c *Client) initIsOver() {
	if c.AfterInit != nil {
		c.afterInit.Do(c.AfterInit)
	}
}

// call is do with an *Error for an answer that is a refusal.
func (c *Client) call(ctx context.Context, req *http1.Request) (*http1.Response, error) {
	return answered(c.do(ctx, req))
}

func answered(resp *http1.Response, err error) (*http1.Response, error) {
	if err != nil || resp.Status < http.StatusMultipleChoices {
		return resp, err
	}
	e := &Error{}
	if json.Unmarshal(resp.Body, e) != nil || e.Message == "" {
		e.Message = string(resp.Body[:min(len(resp.Body), 200)])
	}
	e.Status = resp.Status
	return nil, e
}

// Session is a registered extension.
type Session struct {
	client       *Client
	id           string
	registration Registration
	ask          http1.Request // for the next event

	life context.Context // until Close, of requests that outlive the call that made them
	end  context.CancelFunc

	mu      sync.Mutex
	pending *poll
	polls   chan *poll // to the goroutine that asks for events, nil before the first
	closed  bool
}

// poll is one request to /event/next. It outlives the call to Next that made it.
type poll struct {
	done   chan struct{}
	answer *http1.Response
	err    error
}

var errSessionClosed = errors.New("the session is closed")

// ID identifies the extension to Lambda's other APIs.
func (s *Session) ID() string { return s.id }

// Do sends a request to another API at the same address, over the same connection unless Next is pending on it, and
// returns the answer, whatever its status. Only ctx bounds it.
func (s *Session) Do(ctx context.Context, req *http1.Request) (*http1.Response, error) {
	return s.client.do(ctx, req)
}

// Registration is what Lambda answered to Register.
func (s *Session) Registration() Registration { return s.registration }

// Next says that the extension has finished the current phase and waits for the next event, for hours if need be: the
// environment is frozen while everybody waits.
//
// Lambda refuses a second request while one is pending, and it would take one that was cancelled for pending still. So
// a Next whose ctx ends leaves its request open, and the next call picks up its answer.
//
// Next is for one caller at a time.
func (s *Session) Next(ctx context.Context) (Event, error) {
	// To ask is to say that the phase is finished, which somebody who is only leaving must not do.
	if err := ctx.Err(); err != nil {
		return Event{}, err
	}
	p, err := s.poll() //nolint:contextcheck // the request outlives ctx
	if err != nil {
		return Event{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
	s.mu.Lock()
	if s.pending == p {
		s.pending = nil
	}
	s.mu.Unlock()
	if p.err != nil {
		return Event{}, fmt.Errorf("ask for the next event: %w", p.err)
	}
	e, err := decodeEvent(p.answer.Body)
	if err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	e.Guard = contract.ParseCounters(p.answer.Header.Get(contract.HeaderCounters))
	return e, nil
}

const (
	// maxNextFailures is after how many failures in a row the API is taken for gone.
	maxNextFailures = 8
	nextRetryDelay  = 25 * time.Millisecond
)

// Await is Next, tried again as long as there is hope. An error means that ctx has ended or that the API is gone.
func (s *Session) Await(ctx context.Context) (Event, error) {
	for failures := 1; ; failures++ {
		event, err := s.Next(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err, failures) {
			return event, err
		}
		timer := time.NewTimer(nextRetryDelay << failures)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return Event{}, ctx.Err()
		}
	}
}

// hopeless reports whether asking for the next event has no future. A status of 500 says so by contract.
func hopeless(err error, failures int) bool {
	if apiErr, ok := errors.AsType[*Error](err); ok && apiErr.Status == http.StatusInternalServerError {
		return true
	}
	return failures >= maxNextFailures || errors.Is(err, errSessionClosed)
}

func (s *Session) poll() (*poll, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSessionClosed
	}
	if s.pending == nil {
		if s.polls == nil {
			s.polls = make(chan *poll, 1)
			go s.work(s.polls)
		}
		s.pending = &poll{done: make(chan struct{})}
		s.polls <- s.pending
	}
	return s.pending, nil
}

// work asks for events. One goroutine for all of them has a stack that is large enough.
func (s *Session) work(polls <-chan *poll) {
	var used atomic.Pointer[connection]
	stop := context.AfterFunc(s.life, func() {
		if conn := used.Load(); conn != nil {
			conn.close()
		}
	})
	defer stop()
	for p := range polls {
		conn := s.client.take()
		used.Store(conn)
		if s.life.Err() != nil {
			conn.close()
		}
		p.answer, p.err = answered(conn.exchange(s.life, &s.ask))
		s.client.put(conn)
		s.client.initIsOver() // also if it could not be written
		close(p.done)
	}
}

// InitError tells Lambda that the extension cannot start, ExitError that it cannot go on. Both fail the function's
// environment, which no fault of telemetry is worth; they are here for the client to be complete. errorType must be a
// constant such as Extension.ConfigInvalid: it travels as a header, which an arbitrary text may not fit.
func (s *Session) InitError(ctx context.Context, errorType, message string) error {
	return s.fail(ctx, "/init/error", errorType, message)
}

// ExitError is described at InitError.
func (s *Session) ExitError(ctx context.Context, errorType, message string) error {
	return s.fail(ctx, "/exit/error", errorType, message)
}

func (s *Session) fail(ctx context.Context, path, errorType, message string) error {
	body, err := json.Marshal(Error{Type: errorType, Message: message})
	if err != nil {
		return fmt.Errorf("encode error: %w", err)
	}
	_, err = s.client.call(ctx, &http1.Request{
		Method: http.MethodPost,
		Target: basePath + path,
		Header: http1.Header{
			{Name: headerIdentifier, Value: s.id},
			{Name: headerErrorType, Value: errorType},
			{Name: headerContentType, Value: typeJSON},
		},
		Body: body,
	})
	return err
}

// Close gives up a pending Next and the connection. It is for the end of the process and for tests.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.polls != nil {
		close(s.polls)
	}
	s.closed = true
	s.end()
	if s.pending != nil {
		<-s.pending.done
	}
	s.client.close()
}
