// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const testHosts = `# comment
127.0.0.1 localhost
::1 localhost ip6-localhost # the other one
169.254.100.1	sandbox sandbox.localdomain
192.0.2.1
garbage sandbox6
2001:db8::1 sandbox6
`

func TestResolve(t *testing.T) {
	v4 := func(port int, ip ...byte) syscall.Sockaddr {
		return &syscall.SockaddrInet4{Port: port, Addr: [4]byte(ip)}
	}
	v6 := func(port int, ip string) syscall.Sockaddr {
		return &syscall.SockaddrInet6{Port: port, Addr: netip.MustParseAddr(ip).As16()}
	}
	for address, want := range map[string]syscall.Sockaddr{
		"127.0.0.1:9001":           v4(9001, 127, 0, 0, 1),
		"169.254.100.1:9001":       v4(9001, 169, 254, 100, 1),
		"0.0.0.0:0":                v4(0, 0, 0, 0, 0),
		":4243":                    v4(4243, 0, 0, 0, 0),
		"[::1]:9001":               v6(9001, "::1"),
		"[2001:db8::a:1]:80":       v6(80, "2001:db8::a:1"),
		"[2001:DB8::FfeF]:65535":   v6(65535, "2001:db8::ffef"),
		"[1:2:3:4:5:6:7:8]:80":     v6(80, "1:2:3:4:5:6:7:8"),
		"localhost:1":              v4(1, 127, 0, 0, 1),
		"Sandbox.LocalDomain:9001": v4(9001, 169, 254, 100, 1),
		"sandbox6:9001":            v6(9001, "2001:db8::1"),
	} {
		sa, err := resolve(address, func() string { return testHosts })
		require.NoError(t, err, address)
		require.Equal(t, want, sa)
	}
}

func TestResolveWithoutHosts(t *testing.T) {
	sa, err := resolve("localhost:1", func() string { return "" })
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:1", text(sa.(*syscall.SockaddrInet4)))
}

func TestResolveErrors(t *testing.T) {
	for address, want := range map[string]error{
		"":                      errNoPort,
		"127.0.0.1":             errNoPort,
		"127.0.0.1:":            errNoPort,
		"127.0.0.1:65536":       errNoPort,
		"127.0.0.1:-1":          errNoPort,
		"127.0.0.1:+1":          errNoPort,
		"127.0.0.1:a":           errNoPort,
		"::1:80":                errNoPort,
		"[::1:80":               errNoPort,
		"api.example.com:80":    errUnknownHost,
		"sand:80":               errUnknownHost,
		"127.0.0.256:80":        errUnknownHost,
		"127.0.0.01:80":         errUnknownHost,
		"127.0.0:80":            errUnknownHost,
		"127.0.0.1.1:80":        errUnknownHost,
		"[1::2::3]:80":          errUnknownHost,
		"[1:2:3:4:5:6:7]:80":    errUnknownHost,
		"[1:2:3:4:5:6:7:8:]:80": errUnknownHost,
		"[12345::]:80":          errUnknownHost,
		"[g::]:80":              errUnknownHost,
	} {
		_, err := resolve(address, func() string { return testHosts })
		require.ErrorIs(t, err, want, address)
	}
	require.ErrorContains(t, Resolvable("api.example.com:80"), "resolve api.example.com:80: the host is neither")
	require.NoError(t, Resolvable("127.0.0.1:1"))
}

// FuzzLiteral compares with the standard library, which takes more: embedded IPv4 and zones.
func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "::", "::1", "1::", "2001:db8::1", "1:2:3:4:5:6:7::", "01.2.3.4", "1.2.3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		want, err := netip.ParseAddr(host)
		sa := literal(host, 80)
		if sa == nil {
			if err == nil && !want.Is4In6() && want.Zone() == "" && !(want.Is6() && strings.Contains(host, ".")) {
				t.Fatalf("%q is %s", host, want)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q is not an address: %s", host, err)
		}
		switch sa := sa.(type) {
		case *syscall.SockaddrInet4:
			require.Equal(t, want.As4(), sa.Addr)
		case *syscall.SockaddrInet6:
			require.Equal(t, want.As16(), sa.Addr)
		}
	})
}
