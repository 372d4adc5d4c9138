// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"
)

// The test binary is also the programs the tests run. In an environment of the simulator it is the function if it has a
// handler, which says what it does, and else an extension, which is told what to do by its own name.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(simulatorVariable) != "":
		runSimulator(os.Getenv(simulatorVariable))
	case os.Getenv("_HANDLER") != "":
		runFunction(os.Getenv("_HANDLER"))
	case os.Getenv("AWS_LAMBDA_RUNTIME_API") != "":
		runExtension(filepath.Base(os.Args[0]))
	default:
		// The tests wait for time limits more than they compute.
		flag.Parse()
		if err := flag.Set("test.parallel", "8"); err != nil {
			fatal("%s", err)
		}
		goleak.VerifyTestMain(m)
	}
}

// Variables that tests give to the programs.
const (
	backendVariable   = "TEST_BACKEND"   // where extensions forward log lines to
	tickVariable      = "TEST_TICKS"     // file that ticks are appended to
	simulatorVariable = "TEST_SIMULATOR" // layer that a simulator is run for
)

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(9)
}

// work is the payload of the test function.
type work struct {
	// Log are lines to write.
	Log []string `json:"log,omitempty"`
	// Do is one of error, panic, exit, hang, slow.
	Do string `json:"do,omitempty"`
	// Size makes a response of that many bytes.
	Size int `json:"size,omitempty"`
	// Meet waits until so many invocations have begun at the same time.
	Meet int `json:"meet,omitempty"`
}

// meeting is where invocations wait for each other.
type meeting struct {
	mu    sync.Mutex
	here  int
	begun chan struct{}
}

func (m *meeting) attend(others int) {
	m.mu.Lock()
	if m.here == 0 {
		m.begun = make(chan struct{})
	}
	m.here++
	begun := m.begun
	if m.here == others {
		m.here = 0
		close(begun)
	}
	m.mu.Unlock()
	<-begun
}

// restore plays a runtime that knows of SnapStart.
func restore(handler string) {
	if status := call(http.MethodGet, "/2018-06-01/runtime/restore/next", nil, "", nil); status != http.StatusOK {
		fatal("restore/next: %d", status)
	}
	fmt.Println("restored")
	switch handler {
	case "restorehang":
		select {}
	case "restoreerror":
		status := call(http.MethodPost, "/2018-06-01/runtime/restore/error",
			map[string]string{"Lambda-Runtime-Function-Error-Type": "Runtime.AfterRestoreFailed"},
			`{"errorMessage":"hook failed","errorType":"HookError"}`, nil)
		fatal("restore/error was answered with %d", status)
	}
}

func runFunction(handler string) {
	if path := os.Getenv(tickVariable); path != "" {
		go tick(path + ".function")
	}
	switch handler {
	case "initexit":
		os.Exit(3)
	case "initerror":
		status := call(http.MethodPost, "/2018-06-01/runtime/init/error",
			map[string]string{"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"},
			`{"errorMessage":"no module","errorType":"ImportError"}`, nil)
		fatal("init/error was answered with %d", status)
	case "initonce":
		// The second process of the environment finds the file.
		mark := os.Getenv(tickVariable) + ".once"
		if _, err := os.Stat(mark); err != nil {
			_ = os.WriteFile(mark, nil, 0o600)
			os.Exit(4)
		}
	case "inithang":
		select {}
	case "environment":
		for _, kv := range os.Environ() {
			fmt.Println(kv)
		}
		wd, _ := os.Getwd()
		fmt.Println("cwd=" + wd)
	}
	if strings.HasPrefix(handler, "restor") {
		restore(handler)
	}
	var together meeting
	lambda.Start(func(ctx context.Context, w work) (any, error) {
		for _, line := range w.Log {
			fmt.Println(line)
		}
		if w.Meet > 0 {
			together.attend(w.Meet)
		}
		switch w.Do {
		case "tenant":
			lc, _ := lambdacontext.FromContext(ctx)
			return lc.TenantID, nil
		case "deadline":
			<-ctx.Done()
			return nil, ctx.Err()
		case "error":
			return nil, errors.New("on purpose")
		case "panic":
			panic("on purpose")
		case "exit":
			os.Exit(1)
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "slow":
			time.Sleep(200 * time.Millisecond)
		case "hang":
			select {}
		}
		return map[string]string{"echo": strings.Repeat("x", w.Size)}, nil
	})
}

// tick appends to a file for as long as the process runs.
func tick(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fatal("%s", err)
	}
	for range time.Tick(2 * time.Millisecond) {
		_, _ = f.WriteString(".")
	}
}

// call makes a request to the simulator and returns the status; out gets the headers.
func call(method, path string, headers map[string]string, body string, out func(http.Header, []byte)) int {
	req, err := http.NewRequest(method, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+path, strings.NewReader(body))
	if err != nil {
		fatal("%s", err)
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fatal("%s %s: %s", method, path, err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		fatal("%s %s: %s", method, path, err)
	}
	_ = resp.Body.Close()
	if out != nil {
		out(resp.Header, data)
	}
	return resp.StatusCode
}

// testExtension forwards function log lines to a backend, correctly unless its name says otherwise.
type testExtension struct {
	name       string
	identifier string
	status     int // its listener answers with

	mu    sync.Mutex
	lines []string
	held  []string                 // of the invocation before, by the one that delays
	done  map[string]chan struct{} // by request id
}

func runExtension(name string) {
	x := &testExtension{name: name, status: http.StatusOK, done: map[string]chan struct{}{}}
	switch name {
	case "mute":
		select {}
	case "environment":
		for _, kv := range os.Environ() {
			fmt.Println(kv)
		}
	case "ticking":
		go tick(os.Getenv(tickVariable) + ".extension")
	case "forking":
		x.fork()
	case "forked":
		tick(os.Getenv(tickVariable) + ".forked")
	}

	registered := name
	if name == "misnamed" {
		registered = "othername"
	}
	events := `{"events":["INVOKE","SHUTDOWN"]}`
	switch name {
	case "silent", "misnamed":
		events = `{"events":[]}`
	case "shutdownonly":
		events = `{"events":["SHUTDOWN"]}`
	}
	managed := os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE") == "lambda-managed-instances"
	if managed && name != "invoking" {
		events = `{"events":["SHUTDOWN"]}`
	}
	status := call(http.MethodPost, "/2020-01-01/extension/register", map[string]string{
		"Lambda-Extension-Name": registered, "Lambda-Extension-Accept-Feature": "accountId",
	}, events, func(h http.Header, _ []byte) { x.identifier = h.Get("Lambda-Extension-Identifier") })
	if status != http.StatusOK && name == "invoking" {
		select {}
	}
	if status != http.StatusOK {
		fatal("register: %d", status)
	}
	x.afterRegister()
	x.loop()
}

// fork starts a child in a session of its own.
func (x *testExtension) fork() {
	program, err := os.Executable()
	if err != nil {
		fatal("%s", err)
	}
	cmd := exec.Command(program)
	cmd.Args = []string{"forked"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fatal("%s", err)
	}
	fmt.Println("forked", cmd.Process.Pid)
}

func (x *testExtension) afterRegister() {
	switch x.name {
	case "reregistering":
		call(http.MethodPost, "/2020-01-01/extension/register",
			map[string]string{"Lambda-Extension-Name": x.name}, `{"events":["INVOKE"]}`, nil)
	case "initerror":
		x.post("/2020-01-01/extension/init/error", "Extension.ConfigInvalid")
		os.Exit(1)
	case "initexit":
		os.Exit(5)
	case "slowfirst":
		time.Sleep(300 * time.Millisecond)
	case "neverfirst":
		select {}
	case "latesubscriber", "silent", "shutdownonly", "misnamed":
		return
	case "refusing":
		x.subscribe(freePort())
		return
	case "rude":
		x.status = http.StatusInternalServerError
	}
	port := x.listen()
	x.subscribe(port)
	if x.name == "twice" {
		x.subscribe(port)
	}
}

func (x *testExtension) post(path, errorType string) {
	call(http.MethodPost, path, map[string]string{
		"Lambda-Extension-Identifier": x.identifier, "Lambda-Extension-Function-Error-Type": errorType,
	}, "", nil)
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fatal("%s", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (x *testExtension) listen() int {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		fatal("%s", err)
	}
	go func() { _ = http.Serve(l, http.HandlerFunc(x.receive)) }()
	return l.Addr().(*net.TCPAddr).Port
}

func (x *testExtension) subscribe(port int) int {
	return call(http.MethodPut, "/2022-07-01/telemetry", map[string]string{"Lambda-Extension-Identifier": x.identifier},
		`{"schemaVersion":"2025-01-29","types":["platform","function"],`+
			`"buffering":{"maxItems":1000,"maxBytes":262144,"timeoutMs":25},`+
			`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:`+strconv.Itoa(port)+`/telemetry"}}`, nil)
}

func (x *testExtension) receive(w http.ResponseWriter, r *http.Request) {
	var events []struct {
		Type   string          `json:"type"`
		Record json.RawMessage `json:"record"`
	}
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		fatal("telemetry: %s", err)
	}
	if x.status != http.StatusOK {
		w.WriteHeader(x.status)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range events {
		switch {
		case x.name == "telling":
			fmt.Println("telemetry", e.Type)
		case x.name == "quitting" && e.Type == "platform.initReport":
			os.Exit(6)
		}
		var line string
		if e.Type == "function" && json.Unmarshal(e.Record, &line) == nil {
			x.lines = append(x.lines, line)
		}
		var done struct {
			RequestID string `json:"requestId"`
		}
		if e.Type == "platform.runtimeDone" && json.Unmarshal(e.Record, &done) == nil {
			// It may come twice.
			select {
			case <-x.doneOf(done.RequestID):
			default:
				close(x.doneOf(done.RequestID))
			}
		}
	}
}

func (x *testExtension) doneOf(requestID string) chan struct{} {
	if x.done[requestID] == nil {
		x.done[requestID] = make(chan struct{})
	}
	return x.done[requestID]
}

type testEvent struct {
	EventType      string `json:"eventType"`
	RequestID      string `json:"requestId"`
	DeadlineMs     int64  `json:"deadlineMs"`
	ShutdownReason string `json:"shutdownReason"`
}

func (x *testExtension) next() testEvent {
	var event testEvent
	status := call(http.MethodGet, "/2020-01-01/extension/event/next",
		map[string]string{"Lambda-Extension-Identifier": x.identifier}, "",
		func(_ http.Header, body []byte) { _ = json.Unmarshal(body, &event) })
	if status != http.StatusOK {
		fatal("next: %d", status)
	}
	return event
}

func (x *testExtension) loop() {
	for number := 1; ; number++ {
		if x.name == "doublenext" {
			go func() {
				// Whichever comes second is refused.
				call(http.MethodGet, "/2020-01-01/extension/event/next",
					map[string]string{"Lambda-Extension-Identifier": x.identifier}, "", nil)
			}()
			x.tolerantNext()
			select {}
		}
		event := x.next()
		if event.EventType == "SHUTDOWN" {
			x.shutdown(event)
		}
		x.invoke(event, number)
	}
}

// tolerantNext is a next that does not mind being refused.
func (x *testExtension) tolerantNext() {
	call(http.MethodGet, "/2020-01-01/extension/event/next",
		map[string]string{"Lambda-Extension-Identifier": x.identifier}, "", nil)
}

func (x *testExtension) invoke(event testEvent, number int) {
	deadline := time.UnixMilli(event.DeadlineMs)
	switch {
	case x.name == "telling":
		fmt.Println("event INVOKE")
	case x.name == "crashing" && number == 2:
		os.Exit(3)
	case x.name == "leaving" && number == 2:
		os.Exit(0)
	case x.name == "exiterror" && number == 2:
		x.post("/2020-01-01/extension/exit/error", "Extension.Unlucky")
		os.Exit(1)
	case x.name == "overholding" && number == 2:
		select {}
	case x.name == "latesubscriber":
		fmt.Println("late subscription:", x.subscribe(freePort()))
		return
	case x.name == "refusing", x.name == "rude":
		// Long enough for a delivery to be tried again.
		time.Sleep(200 * time.Millisecond)
		return
	}
	x.mu.Lock()
	done := x.doneOf(event.RequestID)
	x.mu.Unlock()
	select {
	case <-done:
	case <-time.After(time.Until(deadline) - 800*time.Millisecond):
	}
	if x.name == "holding" {
		time.Sleep(400 * time.Millisecond)
	}
	x.flush()
}

// flush sends what has come so far to the backend.
func (x *testExtension) flush() {
	x.mu.Lock()
	lines := x.lines
	x.lines = nil
	x.mu.Unlock()
	if x.name == "delaying" {
		lines, x.held = x.held, lines
	}
	var out []string
	for i, line := range lines {
		switch {
		case x.name == "losing" && i == 0:
		case x.name == "duplicating" && i == 0:
			out = append(out, line, line)
		default:
			out = append(out, line)
		}
	}
	backend := os.Getenv(backendVariable)
	if backend == "" || len(out) == 0 {
		return
	}
	body, err := json.Marshal(out)
	if err != nil {
		fatal("%s", err)
	}
	resp, err := http.Post(backend, "application/json", bytes.NewReader(body))
	if err != nil {
		fatal("backend: %s", err)
	}
	_ = resp.Body.Close()
}

func (x *testExtension) shutdown(event testEvent) {
	fmt.Println("shutdown", event.ShutdownReason)
	switch x.name {
	case "stubborn":
		select {}
	case "badexit":
		os.Exit(7)
	case "forking":
		// Its child is left behind.
		os.Exit(0)
	}
	// What was buffered when the environment was frozen comes now.
	time.Sleep(200 * time.Millisecond)
	x.flush()
	x.flush()
	os.Exit(0)
}

// runSimulator runs a layer until it is killed, frozen after one invocation.
func runSimulator(layer string) {
	_ = os.Unsetenv(simulatorVariable)
	program, err := os.Executable()
	if err != nil {
		fatal("%s", err)
	}
	mode := FreezeSignal
	if os.Getenv("TEST_FREEZE") != "" {
		mode = FreezeCgroup
	}
	e, err := New(Options{
		LayerDir: layer, Function: []string{program}, Freeze: mode, Timeout: 20 * time.Second, InitTimeout: time.Minute,
		Env: map[string]string{tickVariable: os.Getenv(tickVariable)},
	})
	if err != nil {
		fatal("%s", err)
	}
	ctx := context.Background()
	if _, err := e.Invoke(ctx, []byte("{}")); err != nil {
		fatal("%s", err)
	}
	if err := e.Settle(ctx); err != nil {
		fatal("%s", err)
	}
	fmt.Println("settled", runtime.GOOS)
	select {}
}
