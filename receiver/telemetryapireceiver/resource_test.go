// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
)

func TestNewResource(t *testing.T) {
	lambda := map[string]string{
		"AWS_REGION":                      "eu-central-1",
		"AWS_LAMBDA_FUNCTION_NAME":        "checkout",
		"AWS_LAMBDA_FUNCTION_VERSION":     "7",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "10240",
	}
	tests := []struct {
		name         string
		env          map[string]string
		registration extensionsapi.Registration
		want         map[string]any
		malformed    []string
	}{
		{
			name:         "in Lambda",
			env:          lambda,
			registration: extensionsapi.Registration{FunctionName: "ignored", FunctionVersion: "ignored", AccountID: "123456789012"},
			want: map[string]any{
				"cloud.provider": "aws", "cloud.platform": "aws_lambda", "cloud.region": "eu-central-1",
				"cloud.account.id": "123456789012", "faas.name": "checkout", "faas.version": "7",
				"faas.max_memory": int64(10_737_418_240), "service.name": "checkout",
			},
		},
		{
			name:         "from the registration",
			registration: extensionsapi.Registration{FunctionName: "f", FunctionVersion: "$LATEST"},
			want: map[string]any{
				"cloud.provider": "aws", "cloud.platform": "aws_lambda",
				"faas.name": "f", "faas.version": "$LATEST", "service.name": "f",
			},
		},
		{
			name: "memory that is no number",
			env:  map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "a lot"},
			want: map[string]any{"cloud.provider": "aws", "cloud.platform": "aws_lambda"},
		},
		{
			name: "what the user sets goes before",
			env: map[string]string{
				"AWS_LAMBDA_FUNCTION_NAME": "checkout",
				"OTEL_SERVICE_NAME":        "shop",
				"OTEL_RESOURCE_ATTRIBUTES": " deployment.environment.name = prod%2Ceu%3D1 ,service.name=overridden,cloud.region=here," +
					"no-value,=no-key,bad=%zz, ,empty=",
			},
			want: map[string]any{
				"cloud.provider": "aws", "cloud.platform": "aws_lambda", "faas.name": "checkout", "service.name": "shop",
				"deployment.environment.name": "prod,eu=1", "cloud.region": "here", "empty": "",
			},
			malformed: []string{"no-value", "=no-key", "bad=%zz"},
		},
		{
			name: "service name among the attributes",
			env: map[string]string{
				"AWS_LAMBDA_FUNCTION_NAME": "checkout", "OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,not.utf8=%ff",
			},
			want: map[string]any{
				"cloud.provider": "aws", "cloud.platform": "aws_lambda", "faas.name": "checkout", "service.name": "shop",
				"not.utf8": "\uFFFD",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, malformed := newResource(func(key string) string { return tt.env[key] }, tt.registration)
			require.Equal(t, tt.want, got.AsRaw())
			require.Equal(t, tt.malformed, malformed)
		})
	}
}
