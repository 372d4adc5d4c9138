// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// TapOptions configure a Tap.
type TapOptions struct {
	// Addr is the address to listen on, 127.0.0.1:0 when empty.
	Addr string
	// Target is the base URL of the collector's OTLP/HTTP receiver, such as http://127.0.0.1:4318. It is required.
	Target string
	// MaxBodyBytes bounds what a request may decompress to for being recorded; larger ones are forwarded all the same
	// and counted with an error. Zero means 64 MiB.
	MaxBodyBytes int64
	// Logger is told what the HTTP server has to complain about. Nil discards it.
	Logger *slog.Logger
}

// Tap stands between a client and a collector's OTLP/HTTP receiver, forwards everything as it comes, and records the
// items of requests that the collector answered with a 2xx status: what the collector has taken responsibility for. A
// partial success counts as a whole, because the answer does not say which items were rejected. Its methods are safe
// for concurrent use.
type Tap struct {
	*record
	options TapOptions

	gate       *gate
	server     *http.Server
	transport  *http.Transport
	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup
	conns      openConns

	mu      sync.Mutex
	started bool
	closed  bool
	failure error
}

// NewTap returns a Tap that is not listening yet.
func NewTap(options TapOptions) *Tap {
	options.Addr = addrOrDefault(options.Addr)
	if options.MaxBodyBytes == 0 {
		options.MaxBodyBytes = defaultMaxBodyBytes
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	life, end := context.WithCancel(context.Background())
	return &Tap{record: newRecord(), options: options, gate: newGate(), life: life, end: end}
}

// Start listens and forwards until Close. The context bounds only the start. The target need not listen yet. A Tap
// starts once.
func (t *Tap) Start(ctx context.Context) error {
	target, err := url.Parse(t.options.Target)
	if err != nil {
		return fmt.Errorf("tap: target: %w", err)
	}
	if target.Scheme == "" || target.Host == "" {
		return fmt.Errorf("tap: target %q is not a URL such as http://127.0.0.1:4318", t.options.Target)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return errors.New("tap: started already, or closed")
	}
	if err := t.gate.listen(ctx, t.options.Addr); err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	t.started = true
	t.transport = &http.Transport{
		// Otherwise the transport would ask for gzip on its own and decompress the answer.
		DisableCompression:  true,
		MaxIdleConnsPerHost: 16,
		DialContext:         (&net.Dialer{}).DialContext,
	}
	logger := slog.NewLogLogger(t.options.Logger.Handler(), slog.LevelWarn)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			// ReverseProxy removes these as a security measure, which a tap is not.
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values, ok := r.In.Header[name]; ok {
					r.Out.Header[name] = values
				}
			}
		},
		Transport:      forwarder{t.transport},
		ModifyResponse: t.answered,
		ErrorHandler:   t.failed,
		ErrorLog:       logger,
	}
	t.server = &http.Server{
		Handler:           t.observe(proxy),
		ReadHeaderTimeout: time.Minute,
		ConnState:         t.conns.track,
		BaseContext:       func(net.Listener) context.Context { return t.life },
		ErrorLog:          logger,
	}
	t.background.Go(func() {
		if err := t.server.Serve(t.gate); !errors.Is(err, http.ErrServerClosed) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.failure = err
		}
	})
	return nil
}

// Endpoint returns the base URL for clients. It is valid after Start.
func (t *Tap) Endpoint() string { return endpoint(t.gate) }

// CloseIdleConnections closes the connections to the target on which nothing is under way. Some may never have been used:
// an HTTP server that shuts down waits for such a one until it is five seconds old.
func (t *Tap) CloseIdleConnections() { t.transport.CloseIdleConnections() }

// WaitFor returns when cond holds for the tap, or with the context's cause. It asks cond again whenever something
// changed, so cond should look at nothing but the tap.
func (t *Tap) WaitFor(ctx context.Context, cond func(*Tap) bool) error {
	return t.wait(ctx, func() bool { return cond(t) })
}

// Close ends all connections and returns when nothing of the tap runs any more. What was recorded can still be read.
// Closing again does nothing.
func (t *Tap) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	started := t.started
	t.mu.Unlock()
	if !started {
		return nil
	}
	t.end()
	err := errors.Join(t.server.Close(), t.gate.Close())
	t.background.Wait()
	t.conns.wait()
	t.transport.CloseIdleConnections()

	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(err, t.failure)
}

// sighting is a request on its way through the tap.
type sighting struct {
	request *Request
	body    *copied
}

type sightingKey struct{}

func (t *Tap) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signal, err := signalOfPath(r.URL.Path)
		if err != nil || r.Method != http.MethodPost {
			next.ServeHTTP(w, r) // no telemetry: not ours to judge
			return
		}
		seen := &sighting{
			request: t.begin(signal, TransportHTTP, r.URL.Path, r.Header.Clone()),
			body:    &copied{from: r.Body},
		}
		defer func() {
			seen.body.stop()
			// Unless it has an outcome already.
			t.settled(seen.request, payload{}, OutcomeAbandoned, nil)
		}()
		r = r.WithContext(context.WithValue(r.Context(), sightingKey{}, seen))
		r.Body = seen.body
		next.ServeHTTP(w, r)
	})
}

// answered runs when the collector's answer begins, before the client sees any of it.
func (t *Tap) answered(resp *http.Response) error {
	seen, ok := resp.Request.Context().Value(sightingKey{}).(*sighting)
	if !ok {
		return nil
	}
	body, now := seen.body.bytes(), time.Now()
	accepted := resp.StatusCode >= 200 && resp.StatusCode <= 299
	p, size, err := t.read(seen.request, body)

	outcome := OutcomeRefused
	switch {
	case accepted && err != nil:
		outcome = OutcomeInvalid // accepted all the same, but of unknown content
	case accepted:
		outcome = OutcomeAccepted
	}
	t.update(func() {
		seen.request.Received = now
		seen.request.Bytes = size
		if err != nil {
			seen.request.Err = err.Error()
			return
		}
		seen.request.Items = p.items()
	})
	t.settled(seen.request, p, outcome, func() { seen.request.Status = resp.StatusCode })
	return nil
}

func (t *Tap) read(req *Request, body []byte) (payload, int, error) {
	media := mediaType(req.Header)
	plain, err := decompress(body, req.Header.Get("Content-Encoding"), t.options.MaxBodyBytes)
	if err != nil {
		return payload{}, len(body), err
	}
	p, err := decodePayload(req.Signal, plain, media == contentJSON)
	return p, len(plain), err
}

// failed runs when there is no answer. The client is to see what it would have seen without the tap, as far as the
// tap can still do it: a connection that breaks.
func (t *Tap) failed(_ http.ResponseWriter, r *http.Request, err error) {
	if seen, ok := r.Context().Value(sightingKey{}).(*sighting); ok {
		outcome := OutcomeBroken
		if r.Context().Err() != nil {
			outcome = OutcomeAbandoned
		}
		t.settled(seen.request, payload{}, outcome, func() { seen.request.Err = err.Error() })
	}
	reset := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	t.gate.breakConn(r.RemoteAddr, reset)
	panic(http.ErrAbortHandler)
}

// forwarder lets the transport repeat a request on a new connection when the old one turned out to be dead before
// anything was sent. A client without a tap in between can do so, because it still has the body.
type forwarder struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (f forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	if seen, ok := r.Context().Value(sightingKey{}).(*sighting); ok && r.Body != nil {
		r = r.WithContext(r.Context())
		r.GetBody = func() (io.ReadCloser, error) { return seen.body.again(), nil }
	}
	return f.next.RoundTrip(r)
}

// copied is a request body that keeps a copy of what has been read from it. The lock is needed because the transport
// reads in a goroutine of its own, which may outlive the answer.
type copied struct {
	from io.ReadCloser

	mu      sync.Mutex
	kept    bytes.Buffer
	stopped bool
}

// Read implements io.Reader.
func (c *copied) Read(p []byte) (int, error) {
	c.mu.Lock()
	stopped := c.stopped
	c.mu.Unlock()
	if stopped {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := c.from.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.Write(p[:n])
	return n, err
}

// Close implements io.Closer. The transport may still need the body for another try, and the server closes the one it
// gave out by itself.
func (*copied) Close() error { return nil }

// stop ends all reading: a body must not be read after its handler has returned.
func (c *copied) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
}

func (c *copied) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.kept.Bytes())
}

// again returns the body from its beginning.
func (c *copied) again() io.ReadCloser {
	return io.NopCloser(io.MultiReader(bytes.NewReader(c.bytes()), c))
}
