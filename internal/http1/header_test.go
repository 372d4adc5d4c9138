// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeader(t *testing.T) {
	var h Header
	require.Empty(t, h.Get("A"))
	require.False(t, h.Has("A"))

	h.Add("Accept", "1")
	h.Add("Body-Kind", "x")
	h.Add("accept", "2")
	require.Equal(t, "1", h.Get("ACCEPT"))
	require.Equal(t, "x", h.Get("body-kind"))
	require.True(t, h.Has("bODY-kind"))

	h.Set("ACCEPT", "3")
	require.Equal(t, Header{{"Accept", "3"}, {"Body-Kind", "x"}}, h)
	h.Set("New", "4")
	require.Equal(t, Header{{"Accept", "3"}, {"Body-Kind", "x"}, {"New", "4"}}, h)
	h.Del("body-KIND")
	h.Del("absent")
	require.Equal(t, Header{{"Accept", "3"}, {"New", "4"}}, h)
}

func TestHeaderHasToken(t *testing.T) {
	h := Header{{"Connection", "Keep-Alive,\tX-Own , "}, {"connection", "close"}, {"Connection", "expre\u017f\u017f"}}
	for token, want := range map[string]bool{
		"close": true, "keep-alive": true, "x-own": true, "own": false, "Keep-Alive,": false, "x": false, "express": false,
	} {
		require.Equal(t, want, h.hasToken("Connection", token), token)
	}
	require.False(t, h.hasToken("Expect", "close"))
}
