// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestReadJSONLines(t *testing.T) {
	s := startSink(t, "")
	var file bytes.Buffer
	for path, request := range map[string]codec{
		"/v1/traces":  tracesRequest(someTraces(1, 2)),
		"/v1/metrics": metricsRequest(someMetrics(3)),
		"/v1/logs":    logsRequest(someLogs(4)),
	} {
		_, err := post(testContext(t), httpClient(t), s.HTTPEndpoint()+path, body(t, request, contentProto))
		require.NoError(t, err)
		file.Write(body(t, request, contentJSON))
		file.WriteByte('\n')
	}
	file.WriteString(`{"resourceSpans":[{"scopeSp`)
	got, err := ReadJSONLines(&file)
	require.NoError(t, err)
	require.Len(t, got, 2+3+4)
	require.Equal(t, s.Identities(), got)
}

func TestReadJSONLinesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{\"resourceSpans\":[]}\nnot json\n": "line 2: invalid character",
		"{\"resourceSpans\":3}\n":            "line 1: ",
		"{}\n":                               "line 1: neither resourceSpans",
	} {
		_, err := ReadJSONLines(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
	_, err := ReadJSONLines(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("{}"))))
	require.ErrorContains(t, err, "line 1: timeout")
}
