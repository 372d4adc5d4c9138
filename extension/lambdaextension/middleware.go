// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"context"
	"net/http"

	"go.opentelemetry.io/collector/extension/extensionmiddleware"

	"github.com/otelcol-lambda/otelcol-lambda/internal/compress"
)

var _ extensionmiddleware.HTTPClient = (*lambdaExtension)(nil)

// GetHTTPRoundTripper implements extensionmiddleware.HTTPClient: an HTTP exporter that names the extension among its
// `middlewares` compresses what is worth it, with gzip; for a loopback address nothing is. The lambda converter has OTLP exporters
// do so.
func (*lambdaExtension) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
		return compress.Transport{Base: base}, nil
	}, nil
}
