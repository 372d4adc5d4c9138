// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"net"
	"net/http"

	"go.opentelemetry.io/collector/extension/extensionmiddleware"

	"github.com/otelcol-lambda/otelcol-lambda/internal/compress"
	"github.com/otelcol-lambda/otelcol-lambda/internal/quiet"
)

var _ extensionmiddleware.HTTPClient = (*lambdaExtension)(nil)

// GetHTTPRoundTripper implements extensionmiddleware.HTTPClient: an HTTP exporter that names the extension among its
// `middlewares` compresses what is worth it, with gzip; for a loopback address nothing is. It also uses its connections without
// Go's monitor, as package quiet has it. The lambda converter has OTLP exporters do so.
func (*lambdaExtension) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
		// It is the exporter's own, and has not been used yet.
		if transport, ok := base.(*http.Transport); ok && transport.DialContext != nil {
			transport.DialContext = dialQuietly(transport.DialContext)
		}
		return &compress.Transport{Base: base}, nil
	}, nil
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

func dialQuietly(next dial) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return quiet.Over(conn), nil
	}
}
