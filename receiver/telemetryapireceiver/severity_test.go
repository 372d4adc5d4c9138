// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestSetSeverity(t *testing.T) {
	tests := []struct {
		raw    string
		number plog.SeverityNumber
		text   string
		kept   bool
	}{
		{raw: `"TRACE"`, number: plog.SeverityNumberTrace, text: "TRACE"},
		{raw: `"all"`, number: plog.SeverityNumberTrace, text: "all"},
		{raw: `"debug"`, number: plog.SeverityNumberDebug, text: "debug"},
		{raw: `"Info"`, number: plog.SeverityNumberInfo, text: "Info"},
		{raw: `"Information"`, number: plog.SeverityNumberInfo, text: "Information"},
		{raw: `"WARNING"`, number: plog.SeverityNumberWarn, text: "WARNING"},
		{raw: `" warn "`, number: plog.SeverityNumberWarn, text: " warn "},
		{raw: `"Error"`, number: plog.SeverityNumberError, text: "Error"},
		{raw: `"CRITICAL"`, number: plog.SeverityNumberFatal, text: "CRITICAL"},
		{raw: `"fatal"`, number: plog.SeverityNumberFatal, text: "fatal"},
		{raw: `"INFO2"`, number: plog.SeverityNumberInfo2, text: "INFO2"},
		{raw: `"error4"`, number: plog.SeverityNumberError4, text: "error4"},
		{raw: `"INFO+2"`, number: plog.SeverityNumberInfo3, text: "INFO+2"},
		{raw: `"DEBUG-4"`, number: plog.SeverityNumberTrace, text: "DEBUG-4"},
		{raw: `"TRACE-4"`, number: plog.SeverityNumberTrace, text: "TRACE-4"},
		{raw: `"ERROR+8"`, number: plog.SeverityNumberFatal4, text: "ERROR+8"},
		{raw: `"UNDEFINED"`, text: "UNDEFINED"},
		{raw: `"INFO+x"`, text: "INFO+x"},
		{raw: `"LEVEL3"`, text: "LEVEL3"},
		{raw: `"INFO3000000000000000000000"`, text: "INFO3000000000000000000000"},
		{raw: `"-2"`, text: "-2"},
		{raw: `""`},
		{raw: `10`, number: plog.SeverityNumberTrace, text: "10"},
		{raw: `20`, number: plog.SeverityNumberDebug, text: "20"},
		{raw: `30`, number: plog.SeverityNumberInfo, text: "30"},
		{raw: `35`, number: plog.SeverityNumberInfo, text: "35"},
		{raw: `40`, number: plog.SeverityNumberWarn, text: "40"},
		{raw: `50`, number: plog.SeverityNumberError, text: "50"},
		{raw: `60`, number: plog.SeverityNumberFatal, text: "60"},
		{raw: `3`, text: "3"},
		{raw: `null`, kept: true},
		{raw: `{"a":1}`, kept: true},
		{raw: `true`, kept: true},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			record := plog.NewLogRecord()
			require.Equal(t, !tt.kept, setSeverity(record, []byte(tt.raw)))
			require.Equal(t, tt.number, record.SeverityNumber())
			require.Equal(t, tt.text, record.SeverityText())
		})
	}
}
