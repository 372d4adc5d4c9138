// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
	"github.com/otelcol-lambda/otelcol-lambda/internal/telemetryapi"
)

// instance is a Lambda Managed Instance, which the simulator does not know: the layer and the example function, with many
// invocations at once, no INVOKE and no freeze. The rig around it is the usual one, and its simulator does nothing.
type instance struct {
	*rig
	api         *httptest.Server
	concurrency int
	refuse      bool // subscriptions

	registered, ready, asked, stopping *happening
	invocations                        chan *invocation
	telemetry                          *telemetry
	guard, function                    *exec.Cmd
	guardEnd                           chan error

	mu       sync.Mutex
	running  map[string]*invocation
	problems []string
}

// happening is something that happens once, however often it is said.
type happening struct {
	over <-chan struct{}
	now  func()
}

func newHappening() *happening {
	c := make(chan struct{})
	return &happening{c, sync.OnceFunc(func() { close(c) })}
}

type invocation struct {
	id      string
	payload string
	// written is closed when the function's last line has come, and answered when its answer has.
	written, answered chan struct{}
}

// instanceSetup says how an instance differs from the usual one.
type instanceSetup struct {
	setup
	concurrency int
	// refuse has subscriptions to the Telemetry API refused, as they are after Init.
	refuse bool
}

const extensionID = "0f7d2b4e-5c1a-4a55-8d0e-5f0d6f6c9a11"

// newInstance starts everything, and returns when Init is over.
func newInstance(t *testing.T, s instanceSetup) *instance {
	t.Helper()
	i := &instance{
		concurrency: s.concurrency, refuse: s.refuse,
		registered: newHappening(), ready: newHappening(), asked: newHappening(), stopping: newHappening(),
		invocations: make(chan *invocation), running: map[string]*invocation{},
		guardEnd: make(chan error, 1),
	}
	var env map[string]string
	s.options = func(o *lambdasim.Options) { env = maps.Clone(o.Env) }
	i.rig = newRig(t, s.setup)
	i.telemetry = newTelemetry(t.Context(), i.problem)
	t.Cleanup(i.telemetry.close)
	i.api = httptest.NewServer(i.routes())
	t.Cleanup(i.api.Close)
	t.Cleanup(i.kill)

	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          i.api.Listener.Addr().String(),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "lambda-managed-instances",
		"AWS_LAMBDA_FUNCTION_NAME":        "function",
		"AWS_LAMBDA_FUNCTION_VERSION":     "7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_REGION":                      "us-east-1",
		"TMPDIR":                          t.TempDir(),
	})
	i.guard = i.command(t, filepath.Join(built.layer, "extensions", "otelcol-lambda"), env, i.log)
	require.NoError(t, i.guard.Start())
	go func() { i.guardEnd <- i.guard.Wait() }()
	i.await(t, i.registered, "the extension has not registered")

	maps.Copy(env, map[string]string{
		"AWS_LAMBDA_MAX_CONCURRENCY": strconv.Itoa(s.concurrency),
		"_HANDLER":                   "bootstrap",
		"LAMBDA_TASK_ROOT":           filepath.Dir(built.function),
		"AWS_LAMBDA_LOG_STREAM_NAME": "2026/10/08/[7]0123456789abcdef",
	})
	lines, stdout := io.Pipe()
	t.Cleanup(func() { _ = lines.Close() })
	go i.forward(lines)
	i.function = i.command(t, built.function, env, stdout)
	require.NoError(t, i.function.Start())
	i.await(t, i.ready, "the function has not asked for an invocation")
	i.await(t, i.asked, "the extension has not asked for an event")
	return i
}

func (*instance) command(t *testing.T, program string, env map[string]string, out io.Writer) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program) // kill ends it
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	return cmd
}

// forward makes events of the function's lines. On Managed Instances all of them are JSON.
func (i *instance) forward(lines io.Reader) {
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		i.telemetry.emit(telemetryapi.EventFunction, json.RawMessage(bytes.Clone(scanner.Bytes())))
		var line struct {
			Message string `json:"message"`
			Order   string `json:"order.id"` // the invocation's
		}
		if json.Unmarshal(scanner.Bytes(), &line) != nil || line.Message != "order stored" {
			continue
		}
		i.mu.Lock()
		if inv := i.running[line.Order]; inv != nil {
			close(inv.written)
		}
		i.mu.Unlock()
	}
}

// kill ends what still runs.
func (i *instance) kill() {
	for _, cmd := range []*exec.Cmd{i.function, i.guard} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	}
	i.stopping.now()
	if i.function != nil {
		_ = i.function.Wait()
	}
}

func (*instance) await(t *testing.T, what *happening, otherwise string) {
	t.Helper()
	select {
	case <-what.over:
	case <-bounded(t).Done():
		require.Fail(t, otherwise)
	}
}

// problem is something that Lambda would not put up with.
func (i *instance) problem(text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.problems = append(i.problems, text)
}

func (i *instance) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2020-01-01/extension/register", i.register)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", i.next)
	mux.HandleFunc("PUT /2022-07-01/telemetry", i.subscribe)
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.nextInvocation)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", i.respond)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		i.problem(r.Method + " " + r.URL.Path)
		w.WriteHeader(http.StatusForbidden)
	})
	return mux
}

func (i *instance) register(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Events []string `json:"events"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	if !slices.Equal(body.Events, []string{"SHUTDOWN"}) {
		i.problem(fmt.Sprintf("registered for %q", body.Events))
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errorType":"Extension.InvalidEventType"}`)
		return
	}
	w.Header().Set("Lambda-Extension-Identifier", extensionID)
	_, _ = io.WriteString(w, `{"functionName":"function","functionVersion":"7","handler":"bootstrap"}`)
	i.registered.now()
}

func (i *instance) next(w http.ResponseWriter, r *http.Request) {
	i.asked.now()
	select {
	case <-i.stopping.over:
		_, _ = fmt.Fprintf(w, `{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":%d}`,
			time.Now().Add(2*time.Second).UnixMilli())
	case <-r.Context().Done():
	}
}

func (i *instance) subscribe(w http.ResponseWriter, r *http.Request) {
	if i.refuse {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errorType":"Telemetry.SubscriptionClosed"}`)
		return
	}
	var s telemetryapi.Subscription
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || s.SchemaVersion != telemetryapi.SchemaVersion {
		i.problem(fmt.Sprintf("subscribed with %v, %v", s, err))
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, `"OK"`)
	i.telemetry.subscribe(s)
}

func (i *instance) nextInvocation(w http.ResponseWriter, r *http.Request) {
	i.ready.now()
	select {
	case inv := <-i.invocations:
		i.mu.Lock()
		i.running[inv.id] = inv
		i.mu.Unlock()
		i.telemetry.emit(telemetryapi.EventStart, map[string]string{"requestId": inv.id, "version": "7"})
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:function:7")
		_, _ = io.WriteString(w, inv.payload)
	case <-i.stopping.over:
		w.WriteHeader(http.StatusForbidden)
	case <-r.Context().Done():
	}
}

func (i *instance) respond(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	inv := i.running[r.PathValue("id")]
	i.mu.Unlock()
	if inv == nil {
		i.problem("answered an invocation that does not run")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case <-inv.written:
	case <-r.Context().Done():
		return
	}
	i.mu.Lock()
	delete(i.running, inv.id)
	i.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	i.telemetry.emit(telemetryapi.EventReport, map[string]any{
		"requestId": inv.id, "status": "success", "metrics": map[string]float64{"durationMs": 1},
	})
	close(inv.answered)
}

// invoke runs an invocation to its end. Many may run at once.
func (i *instance) invoke(ctx context.Context, payload string) error {
	inv := &invocation{
		id: uuid.NewString(), payload: payload, written: make(chan struct{}), answered: make(chan struct{}),
	}
	select {
	case i.invocations <- inv:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-inv.answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load makes so many invocations, with all slots of the instance busy.
func (i *instance) load(t *testing.T, invocations int, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	errs := make(chan error, invocations)
	slots := make(chan struct{}, i.concurrency)
	var wg sync.WaitGroup
	for range invocations {
		slots <- struct{}{}
		wg.Go(func() {
			errs <- i.invoke(ctx, payload)
			<-slots
		})
	}
	wg.Wait()
	for range invocations {
		require.NoError(t, <-errs)
	}
}

// everythingArrived waits until all that the layer has taken is at the backend, each thing once, with the lines of the
// function and what Lambda says itself.
func (i *instance) everythingArrived(t *testing.T) {
	t.Helper()
	lines, starts := i.telemetry.count(telemetryapi.EventFunction), i.telemetry.count(telemetryapi.EventStart)
	require.Eventually(t, func() bool {
		return len(lambdasim.Account(i.tap.Identities(), i.sink.Identities()).Lost) == 0 &&
			len(i.records("function")) >= lines && len(i.records("platform.start")) >= starts
	}, time.Minute, 5*time.Millisecond)
	i.nothingLost(t)
	require.Len(t, i.records("function"), lines)
	require.Len(t, i.records("platform.start"), starts)
}

// end shuts the instance down as Lambda does: first the function, then the extension.
func (i *instance) end(t *testing.T) {
	t.Helper()
	require.NoError(t, i.function.Process.Kill())
	i.stopping.now()
	select {
	case err := <-i.guardEnd:
		require.NoError(t, err, "the extension ends with 0")
	case <-bounded(t).Done():
		require.Fail(t, "the extension has not ended")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	require.Empty(t, i.problems)
}

// telemetry is the Telemetry API with one subscriber.
type telemetry struct {
	problem func(string)
	client  *http.Client
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu         sync.Mutex
	uri        string
	streams    []telemetryapi.Stream
	buffer     []json.RawMessage
	counts     map[telemetryapi.EventType]int
	delivering bool
}

func newTelemetry(ctx context.Context, problem func(string)) *telemetry {
	s := &telemetry{problem: problem, counts: map[telemetryapi.EventType]int{}, client: &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		}},
	}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

func (s *telemetry) close() {
	s.cancel()
	s.wg.Wait()
	s.client.CloseIdleConnections()
}

func (s *telemetry) subscribe(sub telemetryapi.Subscription) {
	s.mu.Lock()
	s.uri, s.streams = sub.Destination.URI, sub.Types
	s.mu.Unlock()
	s.emit(telemetryapi.EventInitStart, map[string]string{
		"initializationType": "lambda-managed-instances", "phase": "init", "instanceId": "2026/10/08/[7]0123456789abcdef",
	})
}

func (s *telemetry) subscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uri != ""
}

// count is how many events of a type there were for the subscriber.
func (s *telemetry) count(eventType telemetryapi.EventType) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[eventType]
}

// buffered is for how long Lambda collects events, if that is what the subscriber asks for.
const buffered = 25 * time.Millisecond

func (s *telemetry) emit(eventType telemetryapi.EventType, record any) {
	event, err := json.Marshal(map[string]any{
		"time": time.Now().UTC().Format(time.RFC3339Nano), "type": eventType, "record": record,
	})
	if err != nil {
		s.problem(err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.streams, telemetryapi.Event{Type: eventType}.Stream()) {
		return
	}
	s.counts[eventType]++
	s.buffer = append(s.buffer, event)
	if s.delivering || s.ctx.Err() != nil {
		return
	}
	s.delivering = true
	s.wg.Go(s.deliver)
}

// deliver sends what has been emitted until there is no more, in the order of its beginning.
func (s *telemetry) deliver() {
	for {
		select {
		case <-time.After(buffered):
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		batch := s.buffer
		s.buffer = nil
		if len(batch) == 0 {
			s.delivering = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if err := s.post(batch); err != nil && s.ctx.Err() == nil {
			s.problem(err.Error())
		}
	}
}

func (s *telemetry) post(batch []json.RawMessage) error {
	body, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.uri, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the listener answered %s", resp.Status)
	}
	return nil
}
