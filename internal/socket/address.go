// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

var (
	errNoPort      = errors.New("the address is not host:port")
	errUnknownHost = errors.New("the host is neither an IP address nor a name in /etc/hosts")
)

// hostsPath is where Linux keeps names that need no DNS.
const hostsPath = "/etc/hosts"

// Error says which operation failed on which address.
type Error struct {
	Op      string
	Address string
	Err     error
}

func (e *Error) Error() string { return e.Op + " " + e.Address + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// resolve turns host:port into what the kernel wants. hosts returns the content of /etc/hosts; it is called for names
// only.
func resolve(address string, hosts func() string) (syscall.Sockaddr, error) {
	host, port, err := split(address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return &syscall.SockaddrInet4{Port: port}, nil
	}
	if sa := literal(host, port); sa != nil {
		return sa, nil
	}
	if sa := lookup(hosts(), host, port); sa != nil {
		return sa, nil
	}
	if strings.EqualFold(host, "localhost") {
		return &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}, nil
	}
	return nil, errUnknownHost
}

// maxHosts bounds what is read of the file.
const maxHosts = 64 << 10

// readHosts returns the beginning of the file; without it there are no names. It is os.ReadFile without a file's times,
// which bring time zones along, and without the file as an io.Reader, which brings what io.Copy can do with one.
func readHosts() string {
	file, err := os.Open(hostsPath)
	if err != nil {
		return ""
	}
	defer file.Close()
	content := make([]byte, maxHosts)
	n := 0
	for n < len(content) {
		read, err := file.Read(content[n:])
		n += read
		if err != nil {
			break
		}
	}
	return string(content[:n])
}

func split(address string) (host string, port int, err error) {
	colon := strings.LastIndexByte(address, ':')
	if colon < 0 {
		return "", 0, errNoPort
	}
	port, ok := parse(address[colon+1:], decimal, 1<<16)
	if !ok {
		return "", 0, errNoPort
	}
	host = address[:colon]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return "", 0, errNoPort
		}
	} else if strings.Contains(host, ":") {
		return "", 0, errNoPort
	}
	return host, port, nil
}

func literal(host string, port int) syscall.Sockaddr {
	if ip, ok := parseIPv4(host); ok {
		return &syscall.SockaddrInet4{Port: port, Addr: ip}
	}
	if ip, ok := parseIPv6(host); ok {
		return &syscall.SockaddrInet6{Port: port, Addr: ip}
	}
	return nil
}

// lookup finds a name in the content of /etc/hosts. IPv4 comes first: that is what Lambda's APIs are served on.
func lookup(hosts, name string, port int) syscall.Sockaddr {
	var second syscall.Sockaddr
	for hosts != "" {
		var line string
		line, hosts, _ = strings.Cut(hosts, "\n")
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		for _, alias := range fields[1:] {
			if !strings.EqualFold(alias, name) {
				continue
			}
			switch sa := literal(fields[0], port).(type) {
			case *syscall.SockaddrInet4:
				return sa
			case *syscall.SockaddrInet6:
				if second == nil {
					second = sa
				}
			}
		}
	}
	return second
}

func parseIPv4(s string) (ip [4]byte, ok bool) {
	for i := range ip {
		var part string
		if i < 3 {
			if part, s, ok = strings.Cut(s, "."); !ok {
				return ip, false
			}
		} else {
			part = s
		}
		number, ok := parse(part, decimal, 1<<8)
		// Some take leading zeros for octal.
		if !ok || len(part) > 1 && part[0] == '0' {
			return ip, false
		}
		ip[i] = byte(number)
	}
	return ip, true
}

// parseIPv6 takes hexadecimal groups and one ::, which is how such addresses are written; no zones and no embedded IPv4.
func parseIPv6(s string) (ip [16]byte, ok bool) {
	before, after, elided := strings.Cut(s, "::")
	head, ok := groups(before)
	if !ok {
		return ip, false
	}
	tail, ok := groups(after)
	if !ok || (elided && len(head)+len(tail) > 14) || (!elided && len(head) != 16) {
		return ip, false
	}
	copy(ip[:], head)
	copy(ip[16-len(tail):], tail)
	return ip, true
}

func groups(s string) (octets []byte, ok bool) {
	for more := s != ""; more; {
		var group string
		group, s, more = strings.Cut(s, ":")
		number, ok := parse(group, hexadecimal, 1<<16)
		if !ok || len(group) > 4 || len(octets) == 16 {
			return nil, false
		}
		octets = append(octets, byte(number>>8), byte(number))
	}
	return octets, true
}

// The digits of numbers. Those from the 17th on are the last six again.
const (
	decimal     = "0123456789"
	hexadecimal = "0123456789abcdefABCDEF"
)

// parse reads a number without a sign that is below the limit. It is strconv.ParseUint without errors that quote what could
// not be read, which is 6 kB of code.
func parse(s, digits string, limit int) (number int, ok bool) {
	for i := range len(s) {
		digit := strings.IndexByte(digits, s[i])
		if digit < 0 {
			return 0, false
		}
		if digit > 15 {
			digit -= 6
		}
		if number = number*min(len(digits), 16) + digit; number >= limit {
			return 0, false
		}
	}
	return number, s != ""
}

// text is host:port of an IPv4 address.
func text(sa *syscall.SockaddrInet4) string {
	address := make([]byte, 0, len("255.255.255.255:65535"))
	for i, octet := range sa.Addr {
		if i > 0 {
			address = append(address, '.')
		}
		address = strconv.AppendUint(address, uint64(octet), 10)
	}
	return string(strconv.AppendInt(append(address, ':'), int64(sa.Port), 10))
}
