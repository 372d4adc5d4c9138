// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// Variables that tests give to the programs.
const (
	testDir     = "TEST_DIR"      // where the collector leaves its traces
	goOn        = "go on"         // the file there that a slow one waits for
	testFault   = "TEST_FAULT"    // what is wrong with the collector
	testFaultAt = "TEST_FAULT_AT" // the invocation, counted by each process from 1, at which it happens
	testFaulty  = "TEST_FAULTY"   // how many of the starts have the fault; all if empty
)

func runFunction() {
	lambda.Start(func(_ context.Context, work map[string]int) (string, error) {
		fmt.Println("working on", work["number"])
		time.Sleep(time.Duration(work["ms"]) * time.Millisecond)
		return "done " + strconv.Itoa(work["number"]), nil
	})
}

// collector is a small extension that shares nothing with the real one: it registers, subscribes, follows events, and
// writes to files what it has seen.
type collector struct {
	dir    string
	start  int
	fault  string
	at     int
	base   string
	id     string
	events int
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(9)
}

// trace appends a line to a file.
func (c *collector) trace(file, line string) {
	f, err := os.OpenFile(filepath.Join(c.dir, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line + "\n")
	}
	if err != nil {
		die("%s", err)
	}
	f.Close()
}

// prGetTimerSlack is PR_GET_TIMERSLACK of prctl(2).
const prGetTimerSlack = 30

func runCollector() {
	c := &collector{
		dir:   os.Getenv(testDir),
		fault: os.Getenv(testFault),
		base:  "http://" + os.Getenv(envRuntimeAPI),
	}
	starts, _ := os.ReadFile(filepath.Join(c.dir, "starts"))
	c.start = bytes.Count(starts, []byte("\n")) + 1
	c.trace("starts", strconv.Itoa(os.Getpid())+" "+filepath.Base(mustExecutable()))
	c.trace("environ", strings.Join(os.Environ(), "\n"))
	if slack, _, failed := syscall.RawSyscall(syscall.SYS_PRCTL, prGetTimerSlack, 0, 0); failed == 0 {
		c.trace("slack", time.Duration(slack).String())
	}
	c.at, _ = strconv.Atoi(os.Getenv(testFaultAt))
	if faulty, err := strconv.Atoi(os.Getenv(testFaulty)); err == nil && c.start > faulty {
		c.fault = ""
	}
	c.run()
}

func mustExecutable() string {
	// Links lead to the test binary, so its own name is of no use.
	line, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		die("%s", err)
	}
	name, _, _ := strings.Cut(string(line), "\x00")
	return name
}

func (c *collector) run() {
	c.misbehave("start")
	header, status := c.call("POST", pathRegister, map[string]string{headerName: filepath.Base(os.Args[0])},
		`{"events":["INVOKE","SHUTDOWN"]}`)
	if status != 200 {
		die("registration was answered with %d", status)
	}
	c.id = header.Get(headerIdentifier)
	c.misbehave("registered")
	c.subscribe()
	c.misbehave("init")
	for {
		body := c.next()
		var e struct {
			EventType string `json:"eventType"`
			RequestID string `json:"requestId"`
		}
		if err := json.Unmarshal(body, &e); err != nil {
			die("event: %s", err)
		}
		c.trace("events", strconv.Itoa(c.start)+" "+e.EventType)
		if e.EventType == eventShutdown {
			c.misbehave("shutdown")
			os.Exit(0)
		}
		c.events++
		if c.events == c.at {
			c.misbehave("invoke")
		}
	}
}

func (c *collector) next() []byte {
	for {
		body, status := c.ask()
		if status == 200 {
			return body
		}
		die("next was answered with %d: %s", status, body)
	}
}

func (c *collector) ask() ([]byte, int) {
	req, err := http.NewRequest(http.MethodGet, c.base+pathNext, nil)
	if err != nil {
		die("%s", err)
	}
	req.Header.Set(headerIdentifier, c.id)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		die("next: %s", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		die("next: %s", err)
	}
	return body, resp.StatusCode
}

func (c *collector) call(method, path string, header map[string]string, body string) (http.Header, int) {
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		die("%s", err)
	}
	req.Header.Set(headerIdentifier, c.id)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		die("%s %s: %s", method, path, err)
	}
	answer, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	c.trace("calls", strconv.Itoa(c.start)+" "+path+" "+resp.Status+" "+string(answer))
	return resp.Header, resp.StatusCode
}

// subscribe takes the listener that it has inherited and writes down the log lines that come.
func (c *collector) subscribe() {
	fd, err := strconv.Atoi(os.Getenv(contract.EnvTelemetryFD))
	if err != nil {
		return
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "telemetry"))
	if err != nil {
		die("telemetry listener: %s", err)
	}
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var events []struct {
				Type   string `json:"type"`
				Record any    `json:"record"`
			}
			_ = json.NewDecoder(r.Body).Decode(&events)
			for _, e := range events {
				if e.Type == "function" {
					c.trace("telemetry", strings.TrimSpace(fmt.Sprint(e.Record)))
				}
			}
		}))
	}()
	c.call("PUT", pathTelemetry, map[string]string{headerContentType: typeJSON}, fmt.Sprintf(
		`{"schemaVersion":"2025-01-29","types":["platform","function"],"buffering":{"timeoutMs":25,"maxItems":1000,"maxBytes":262144},`+
			`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:%d/"}}`, listener.Addr().(*net.TCPAddr).Port))
}

// misbehave does what the fault says if this is its moment.
func (c *collector) misbehave(moment string) {
	fault, when, _ := strings.Cut(c.fault, "@")
	if fault == "" || when != moment {
		return
	}
	switch fault {
	case "exit0":
		os.Exit(0)
	case "exit3":
		fmt.Fprintln(os.Stderr, "something is wrong")
		os.Exit(3)
	case "panic":
		go panic("a component's goroutine")
		select {}
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {} // it may take a moment to stop all threads
	case "hang":
		select {}
	case "deaf":
		// Neither events nor signals reach it.
		ignoreSignals()
		select {}
	case "listen":
		l, err := net.Listen("tcp", anyPort)
		if err != nil {
			die("%s", err)
		}
		c.trace("listens", l.Addr().String())
	case "slow":
		for !exists(filepath.Join(c.dir, goOn)) {
			time.Sleep(time.Millisecond)
		}
	case "initerror":
		c.call("POST", pathInitError, map[string]string{headerErrorType: "Extension.ConfigInvalid"}, `{"errorMessage":"no \"good\""}`)
		os.Exit(1)
	case "exiterror":
		c.call("POST", pathExitError, map[string]string{headerErrorType: "Extension.Sick"}, `{}`)
		select {}
	case "flood":
		for range 3000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 500))
		}
	case "nonewline":
		fmt.Fprint(os.Stderr, "it ends here")
		os.Exit(4)
	case "config":
		fmt.Fprintln(os.Stderr, "receivers::otlp: unknown key `protokols`")
		os.Exit(contract.ExitConfigInvalid)
	case "missing":
		// The fuller program has the component.
		if strings.HasSuffix(selfPath(), "collector-full") {
			return
		}
		fmt.Fprintln(os.Stderr, "unknown processor `transform`")
		os.Exit(contract.ExitMissingComponent)
	case "missingeverywhere":
		fmt.Fprintln(os.Stderr, "unknown processor `transform`")
		os.Exit(contract.ExitMissingComponent)
	case "garbage":
		conn, err := net.Dial("tcp", os.Getenv(envRuntimeAPI))
		if err != nil {
			die("%s", err)
		}
		_, _ = conn.Write([]byte("\x16\x03\x01 GET / \r\n\x00\xff\r\n\r\n"))
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	case "nexttwice":
		// One of the two is refused at once, and the other gets the event. The function is still at work, so that there is
		// no freeze between the two.
		statuses := make(chan int)
		for range 2 {
			go func() {
				_, status := c.ask()
				statuses <- status
			}()
		}
		if status := <-statuses; status != 403 {
			die("the first answer to two requests is %d", status)
		}
		if status := <-statuses; status != 200 {
			die("the second answer to two requests is %d", status)
		}
	case "zombies":
		_, _ = syscall.ForkExec("/bin/sh", []string{"sh", "-c", "sleep 30 & exit 0"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		os.Exit(5)
	default:
		die("no such fault: %s", fault)
	}
}
