// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/lambdasim"
)

// relay stands for what is between an environment and its backend: load balancers and NAT gateways, which forget
// connections that sit idle while the environment is frozen.
type relay struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	pairs []pair
	wg    sync.WaitGroup
}

// pair is a connection of the layer and what it is relayed to.
type pair struct{ near, far net.Conn }

// newRelay relays to host:port.
func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{listener: l, target: target}
	r.wg.Go(r.serve)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		r.forget(func(p pair) { _ = p.near.Close() })
		r.wg.Wait()
	})
	return r
}

func (r *relay) serve() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp4", r.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		r.mu.Lock()
		r.pairs = append(r.pairs, pair{near, far})
		r.mu.Unlock()
		for _, way := range [][2]net.Conn{{far, near}, {near, far}} {
			r.wg.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // ends with either side
				_ = way[0].Close()
			})
		}
	}
}

// forget ends all connections there are, in its way, and returns how many there were.
func (r *relay) forget(end func(pair)) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.pairs)
	for _, p := range r.pairs {
		end(p)
		_ = p.far.Close()
	}
	r.pairs = nil
	return n
}

// closed is how a load balancer ends a connection that has been idle for too long.
func closed(p pair) { _ = p.near.Close() }

// reset is how a NAT gateway answers on a connection that it has forgotten.
func reset(p pair) {
	if tcp, ok := p.near.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = p.near.Close()
}

func TestConnectionsThatEndInAFreeze(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http", "grpc"} {
		for name, end := range map[string]func(pair){"closed": closed, "reset": reset} {
			t.Run(protocol+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := setup{config: usualConfig, env: map[string]string{"OTELCOL_LAMBDA_FLUSH_STRATEGY": "end"}}
				var between *relay
				s.prepare = func(r *rig, s *setup) {
					endpoint := r.sink.HTTPEndpoint()
					if protocol == "grpc" {
						endpoint = r.sink.GRPCEndpoint()
						s.config = strings.ReplaceAll(strings.ReplaceAll(s.config, "[otlp_http]", "[otlp]"),
							"  otlp_http:\n    endpoint: ${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}\n",
							"  otlp: {endpoint: \"${env:OTELCOL_LAMBDA_OTLP_ENDPOINT}\", tls: {insecure: true}}\n")
					}
					between = newRelay(t, hostOf(t, endpoint))
					s.env["OTELCOL_LAMBDA_OTLP_ENDPOINT"] = "http://" + between.listener.Addr().String()
				}
				r := newRig(t, s)
				r.init(t)
				var held time.Duration
				for range 4 {
					held = max(held, r.succeed(t).Held)
					require.Positive(t, between.forget(end), "the layer keeps connections open from one invocation to the next")
				}
				require.Less(t, held, 3*time.Second, "it took the whole flush")
				sent := r.tap.Identities()
				ledger := lambdasim.Account(sent, r.sink.Identities())
				// The last connections were forgotten after their answers, so nothing has to wait for SHUTDOWN.
				require.Empty(t, ledger.Lost)
				r.end(t)
				r.nothingLost(t)
			})
		}
	}
}

func hostOf(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	require.NoError(t, err)
	return u.Host
}
