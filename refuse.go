// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Where functions send OTLP to unless they are told otherwise.
const (
	defaultGRPCAddress = "127.0.0.1:4317"
	defaultHTTPAddress = "127.0.0.1:4318"
)

// refuse answers what the function sends over OTLP when there will be no collector, in a way that SDKs take for final. To
// them a connection that is refused is a fault that passes: they try again for up to ten seconds, and the invocation waits
// with them. Where somebody else listens there is nothing to do.
func (env environment) refuse(ctx context.Context, logger *zap.Logger) (stop func()) {
	var stops []func()
	listen := func(address string, serve func(net.Listener) (stop func())) {
		if address == "" {
			return
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			logger.Debug("What the function sends is not refused there", zap.String("address", address), zap.Error(err))
			return
		}
		stops = append(stops, serve(listener))
	}
	listen(env.httpAddress, refuseHTTP)
	listen(env.grpcAddress, refuseGRPC)
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

func refuseHTTP(listener net.Listener) (stop func()) {
	const readTimeout = 10 * time.Second
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the collector does not run; its log says why", http.StatusNotFound)
		}),
		ReadTimeout: readTimeout,
	}
	// Nobody knows when the next request comes; a connection that is kept may be dead by then.
	server.SetKeepAlivesEnabled(false)
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }
}

// refuseGRPC has no services, so that whatever is called is UNIMPLEMENTED.
func refuseGRPC(listener net.Listener) (stop func()) {
	server := grpc.NewServer()
	go func() { _ = server.Serve(listener) }()
	return server.Stop
}
