// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package extensionsapi

import (
	"context"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

func dial(ctx context.Context, address string) (http1.Conn, error) { return dialAny(ctx, address) }
