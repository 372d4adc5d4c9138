// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package faultyextension

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// perform does what the fault is. It returns when the collector is to go on.
func (p *process) perform(ctx context.Context) {
	p.trace(Begun, string(p.fault))
	switch p.fault {
	case Kill:
		p.signal(syscall.SIGKILL)
	case Stop:
		p.signal(syscall.SIGSTOP)
	case Panic:
		go panic("a fault in a goroutine of a component")
		forever()
	case OutOfMemory:
		p.trace(Done, "not killed: "+eatMemory().Error())
		forever()
	case Exit0:
		os.Exit(0) //nolint:forbidigo // it is the fault
	case Exit1:
		os.Exit(1) //nolint:forbidigo // it is the fault
	case PortTaken:
		if p.moment == AfterRegister {
			p.trace(Asked, "-")
			forever()
		}
	case DiskFull:
		p.trace(Done, fillDisk())
	case NoDescriptors:
		p.trace(Done, openEverything())
	case NextNever:
		if p.early() {
			p.trace(Done, "it hangs")
			forever()
		}
		p.stuck.Store(true)
	case NextTwice:
		p.askTwice(ctx)
	case Garbage:
		p.trace(Done, p.sendGarbage(ctx))
	}
}

// signal sends a signal to this process. SIGSTOP stops the other threads a moment later than this one.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), s)
	forever()
}

const (
	page = 4 << 10
	// manyMegabytes is several times what the control group allows.
	manyMegabytes = 512
)

// eatMemory joins the control group and uses memory until the kernel ends the process. It returns what prevented that.
func eatMemory() error {
	if err := os.WriteFile(os.Getenv(EnvCgroup), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return err
	}
	var eaten [][]byte
	for range manyMegabytes {
		megabyte := make([]byte, 1<<20)
		for at := 0; at < len(megabyte); at += page {
			megabyte[at] = 1
		}
		eaten = append(eaten, megabyte)
	}
	return fmt.Errorf("%d MB were there", len(eaten))
}

// fillDisk writes into the folder for temporary files until there is no space. It returns how that ended.
func fillDisk() string {
	f, err := os.Create(filepath.Join(os.TempDir(), "full"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	block := make([]byte, page)
	const many = 64 << 20 / page // a disk that takes that much is not the small one that was prepared
	for range many {
		if _, err := f.Write(block); err != nil {
			return err.Error()
		}
	}
	return "the disk is too large"
}

// fewDescriptors is the limit that is set first, as low as in Lambda, where it is 1024.
const fewDescriptors = 1024

// openEverything takes all descriptors, keeps them, and takes those that others give up. It returns how that ended the
// first time.
func openEverything() string {
	limit := syscall.Rlimit{Cur: fewDescriptors, Max: fewDescriptors}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err.Error()
	}
	err := openUntilError()
	go func() {
		for ; ; time.Sleep(time.Millisecond) {
			_ = openUntilError()
		}
	}()
	return err.Error()
}

func openUntilError() error {
	for {
		// Not an os.File, which would be closed when nobody refers to it.
		if _, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
			return err
		}
	}
}

const (
	nextPath     = "/2020-01-01/extension/event/next"
	registerPath = "/2020-01-01/extension/register"
	idHeader     = "Lambda-Extension-Identifier"
)

// askTwice asks for the next event besides the lambda extension, on a connection of its own. Before the registration
// nobody else asks, so it does so twice.
func (p *process) askTwice(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	id, times := "", 2
	if p.moment != BeforeRegister {
		var err error
		if id, err = identifier(ctx, client, base); err != nil {
			p.trace(Done, err.Error())
			return
		}
		times = 1
	}
	var sent sync.WaitGroup
	for range times {
		sent.Add(1)
		go func() {
			p.trace(Done, ask(ctx, client, base, id, sent.Done))
		}()
	}
	if p.early() {
		sent.Wait()
		// Sent is not arrived, and the collector must not be first.
		time.Sleep(100 * time.Millisecond)
	}
}

// identifier is what Lambda knows the extension by. The guard tells everybody who registers.
func identifier(ctx context.Context, client *http.Client, base string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+registerPath,
		bytes.NewBufferString(`{"events":["INVOKE","SHUTDOWN"]}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	id := resp.Header.Get(idHeader)
	if id == "" {
		return "", errors.New("the registration was answered with " + resp.Status)
	}
	return id, nil
}

// ask waits for an event and returns the answer in words.
func ask(ctx context.Context, client *http.Client, base, id string, sent func()) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+nextPath, nil)
	if err != nil {
		sent()
		return err.Error()
	}
	req.Header.Set(idHeader, id)
	sent()
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + " " + string(body)
}

// sendGarbage sends what is no request, what is the beginning of one, and what is too much of one. The beginnings stay
// as they are, with their connections. It returns how that ended.
func (p *process) sendGarbage(ctx context.Context) string {
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	const next = "GET " + nextPath + " HTTP/1.1\r\nHost: x\r\n"
	answers := []string{"answers:"}
	for _, g := range []struct {
		text string
		half bool
	}{
		{text: string(noise)},
		{text: "\x16\x03\x01 GET / \r\n\x00\xff\r\n\r\n"},
		{text: next + "Content-Length: -5\r\n\r\n"},
		{text: next + "Transfer-Encoding: chunked, chunked\r\n\r\nzz\r\n"},
		{text: next + "X: " + string(bytes.Repeat([]byte("x"), 1<<20)) + "\r\n\r\n"},
		{text: "DELETE /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"},
		{text: "GE", half: true},
		{text: next + idHeader + ": 0", half: true},
		{text: "POST " + registerPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", half: true},
		{text: "PUT /2022-07-01/telemetry HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n[", half: true},
	} {
		answers = append(answers, p.send(ctx, g.text, g.half))
	}
	return strings.Join(answers, " ")
}

// garbageTime bounds how long garbage travels.
const garbageTime = time.Second

// send returns the status of the answer, "half" when there can be none, or else what went wrong.
func (p *process) send(ctx context.Context, text string, half bool) string {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		return err.Error()
	}
	_ = conn.SetDeadline(time.Now().Add(garbageTime))
	_, err = conn.Write([]byte(text))
	if half && err == nil {
		p.halves = append(p.halves, conn) // without a reference it would be closed
		return "half"
	}
	defer conn.Close()
	// A request that is refused early is answered, and its rest perhaps not taken.
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	defer resp.Body.Close()
	return strconv.Itoa(resp.StatusCode)
}
