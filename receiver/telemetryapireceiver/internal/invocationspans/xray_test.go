// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package invocationspans

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestParseXRay(t *testing.T) {
	root := pcommon.TraceID{0x5f, 0x35, 0xae, 0x12, 0x0c, 0x0f, 0xec, 0x14, 0x1a, 0xb7, 0x7a, 0x00, 0xbc, 0x04, 0x7a, 0xa2}
	parent := pcommon.SpanID{0x2b, 0xe9, 0x48, 0xa6, 0x25, 0x58, 0x8e, 0x32}
	const rootField, parentField = "Root=1-5f35ae12-0c0fec141ab77a00bc047aa2", "Parent=2be948a625588e32"
	for header, want := range map[string]xrayHeader{
		"": {},
		rootField + ";" + parentField + ";Sampled=1":                     {root: root, parent: parent, sampled: true},
		"Sampled=0;" + parentField + ";" + rootField:                     {root: root, parent: parent, unsampled: true},
		"Lineage=25:3d2d7f2b:0;Self=1-6-7;" + rootField + ";Sampled=?":   {root: root},
		" Root = 1-5F35AE12-0C0FEC141AB77A00BC047AA2 ;; " + parentField:  {root: root, parent: parent},
		rootField + ";Root=1-00000001-000000000000000000000001;Sampled=": {root: root},
		"Sampled=0;Sampled=1;" + parentField + ";Parent=0000000000000001": {
			parent: parent, unsampled: true,
		},
		// None of these is an id.
		"Root=2-5f35ae12-0c0fec141ab77a00bc047aa2":   {},
		"Root=1-5f35ae1-0c0fec141ab77a00bc047aa2":    {},
		"Root=1-5f35ae12-0c0fec141ab77a00bc047aa":    {},
		"Root=1-5f35ae12-0c0fec141ab77a00bc047aaz":   {},
		"Root=1-5f35ae12-0c0fec141ab77a00bc047aa2-1": {},
		"Root=1-00000000-000000000000000000000000":   {},
		"Root;Parent;Sampled":                        {},
		"root=1-5f35ae12-0c0fec141ab77a00bc047aa2":   {},
		"Parent=0000000000000000":                    {},
		"Parent=2be948a625588e3":                     {},
		"Parent=2be948a625588e3\x00":                 {},
		"=;==;;":                                     {},
	} {
		require.Equal(t, want, parseXRay(header), header)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { parseXRay(rootField + ";" + parentField + ";Sampled=1") }))
}

func FuzzParseXRay(f *testing.F) {
	f.Add("Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Parent=2be948a625588e32;Sampled=1")
	f.Add("Self=1;Root=1--;Parent=;Sampled=0;Lineage=a:b:c")
	f.Fuzz(func(t *testing.T, header string) {
		h := parseXRay(header)
		require.False(t, h.sampled && h.unsampled)
		if !h.root.IsEmpty() {
			id := h.root.String()
			require.Contains(t, strings.ToLower(header), "1-"+id[:8]+"-"+id[8:])
		}
		if !h.parent.IsEmpty() {
			require.Contains(t, strings.ToLower(header), h.parent.String())
		}
	})
}
