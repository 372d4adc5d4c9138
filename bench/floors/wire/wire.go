// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package wire speaks just enough HTTP/1.1 for the smallest programs that Lambda can run: one connection, one request
// at a time, answers with a Content-Length. It uses system calls alone; package net, which brings the network poller
// and the resolver with it, makes a larger program that starts later.
package wire

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
)

// Conn is a TCP connection.
type Conn struct {
	fd     int
	host   string
	buffer [4096]byte
}

var (
	errAddress = errors.New("the address is not an IPv4 address with a port")
	errEnded   = errors.New("the server has hung up")
	errAnswer  = errors.New("the answer is longer than the buffer, or has no Content-Length")
)

// Dial connects to an address such as 127.0.0.1:9001.
func Dial(address string) (*Conn, error) {
	to, err := parse(address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, to); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &Conn{fd: fd, host: address}, nil
}

func parse(address string) (*syscall.SockaddrInet4, error) {
	host, port, _ := strings.Cut(address, ":")
	to := &syscall.SockaddrInet4{}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errAddress
	}
	to.Port = int(n)
	octets := strings.Split(host, ".")
	if len(octets) != len(to.Addr) {
		return nil, errAddress
	}
	for i, octet := range octets {
		n, err := strconv.ParseUint(octet, 10, 8)
		if err != nil {
			return nil, errAddress
		}
		to.Addr[i] = byte(n)
	}
	return to, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return syscall.Close(c.fd) }

// Exchange sends a request and waits for the answer. Line is method and path; headers are whole lines, each with its
// line end.
func (c *Conn) Exchange(line, headers, body string) (head, answer string, err error) {
	request := line + " HTTP/1.1\r\nHost: " + c.host + "\r\n" + headers +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	for rest := []byte(request); len(rest) > 0; {
		n, err := syscall.Write(c.fd, rest)
		if err != nil {
			return "", "", err
		}
		rest = rest[n:]
	}
	return c.answer()
}

func (c *Conn) answer() (head, body string, err error) {
	for filled := 0; filled < len(c.buffer); {
		n, err := syscall.Read(c.fd, c.buffer[filled:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return "", "", err
		case n == 0:
			return "", "", errEnded
		}
		filled += n
		head, body, complete := strings.Cut(string(c.buffer[:filled]), "\r\n\r\n")
		if !complete {
			continue
		}
		length, err := strconv.Atoi(Header(head, "Content-Length"))
		if err != nil {
			return "", "", errAnswer
		}
		if len(body) >= length {
			return head, body[:length], nil
		}
	}
	return "", "", errAnswer
}

// Header returns the value of a header whose name is written just so, or nothing.
func Header(head, name string) string {
	_, value, _ := strings.Cut(head, "\r\n"+name+": ")
	value, _, _ = strings.Cut(value, "\r\n")
	return value
}
