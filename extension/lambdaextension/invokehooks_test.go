// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdaextension

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
)

func TestOnInvoke(t *testing.T) {
	e := scheduled(t)
	e.schedule = ScheduleContinuous // nothing to wait for
	var calls []string
	first := e.OnInvoke(func() { calls = append(calls, "first") })
	e.OnInvoke(func() { calls = append(calls, "second") })
	e.invoke(t.Context(), extensionsapi.Event{RequestID: "1"})
	first()
	e.invoke(t.Context(), extensionsapi.Event{RequestID: "2"})
	require.Equal(t, []string{"first", "second", "second"}, calls)
}
