// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func TestRefuse(t *testing.T) {
	env := environment{httpAddress: freeAddress(t), grpcAddress: freeAddress(t)}
	stop := env.refuse(t.Context(), zap.NewNop())
	for range 2 {
		resp, err := http.Post("http://"+env.httpAddress+"/v1/traces", "application/x-protobuf", strings.NewReader("x"))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNotFound, resp.StatusCode, "which no SDK tries again")
	}
	conn, err := grpc.NewClient(env.grpcAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequest())
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.NoError(t, conn.Close())

	// Where somebody listens already, nobody is disturbed.
	env.refuse(t.Context(), zap.NewNop())()
	stop()
	_, err = new(net.Dialer).DialContext(t.Context(), "tcp", env.httpAddress)
	require.Error(t, err)
	http.DefaultClient.CloseIdleConnections()
}
