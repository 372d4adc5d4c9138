// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// statuses are how many requests of the function each status has answered.
type statuses struct{ notFound, others atomic.Int64 }

// newCounter passes requests on to the layer's port and counts the answers.
func newCounter(t *testing.T) (endpoint string, counted *statuses) {
	t.Helper()
	target, err := url.Parse("http://127.0.0.1:4318")
	require.NoError(t, err)
	counted = &statuses{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.StatusCode == http.StatusNotFound {
			counted.notFound.Add(1)
		} else {
			counted.others.Add(1)
		}
		return nil
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
		counted.others.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL, counted
}

// Where there will be no collector, what the function sends is refused once and for all, so that nobody waits and tries
// again.
func TestExportsAreRefusedWithoutCollector(t *testing.T) {
	endpoint, counted := newCounter(t)
	r := newRig(t, setup{configURI: "/not/there", env: map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
		// The function exports when it flushes, and not when a timer has run out as well.
		"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_BLRP_SCHEDULE_DELAY": "600000",
	}})
	r.init(t)

	conn, err := grpc.NewClient("127.0.0.1:4317", grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	client := ptraceotlp.NewGRPCClient(conn)
	const exports, signals = 10, 3
	ctx := bounded(t)
	invocations := 0
	for range exports {
		refusal := make(chan error, 1)
		go func() {
			// It fails at once if nobody listens.
			_, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(ptrace.NewTraces()))
			refusal <- err
		}()
		// The guard answers while an invocation runs, and is frozen with everything else between them.
		for err = nil; err == nil; invocations++ {
			r.succeedWith(t, `{"sleep_ms":20}`)
			select {
			case err = <-refusal:
				require.Equal(t, codes.Unimplemented, status.Code(err), err)
			default:
			}
		}
	}
	r.end(t)
	require.Equal(t, int64(invocations*signals), counted.notFound.Load(), "each signal is sent once an invocation")
	require.Zero(t, counted.others.Load())
	r.says(t, "its telemetry is not collected: what it sends is refused")
	r.says(t, fmt.Sprintf(`it was refused and is lost","telemetry.self":"otelcol-lambda","requests":%d`,
		invocations*signals+exports))
}
