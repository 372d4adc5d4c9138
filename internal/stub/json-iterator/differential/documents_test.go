// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package differential

// asOTLP reads the fields of OTLP as what they are, and skips others.
func asOTLP(name string, _ int) operation {
	switch name {
	case "resourceSpans", "scopeSpans", "spans", "attributes", "events", "links", "values":
		return readArray
	case "resource", "scope", "value", "arrayValue", "kvlistValue", "status":
		return readObject
	case "":
		// An element, or what is outside.
		return readObject
	case "name", "version", "key", "stringValue", "message", "schemaUrl", "traceState":
		return readString
	case "traceId", "spanId", "parentSpanId", "bytesValue":
		return readSlice
	case "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue", "doubleValue":
		return readFloat64
	case "kind", "code":
		return readInt32
	case "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount", "flags":
		return readUint32
	case "boolValue":
		return readBool
	default:
		return skip
	}
}

// request is what an SDK sends, with fields that are not OTLP's.
const request = `{"resourceSpans":[{"resource":{"attributes":[
{"key":"service.name","value":{"stringValue":"my \"service\""}},
{"key":"a","value":{"arrayValue":{"values":[{"intValue":"-7"},{"intValue":7},{"boolValue":true},{}]}}},
{"key":"k","value":{"kvlistValue":{"values":[{"key":"x","value":{"bytesValue":"AQI="}}]}}}],
"droppedAttributesCount":0},
"scopeSpans":[{"scope":{"name":"@opentelemetry/instrumentation-http","version":"0.57.1"},"spans":[{
"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"","traceState":"a=b",
"name":"GET /\u00e9\ud83d\ude00",
"kind":3,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,"attributes":[
{"key":"d","value":{"doubleValue":3.141592653589793}},{"key":"inf","value":{"doubleValue":"Infinity"}}],"flags":257,
"events":[{"name":"exception","timeUnixNano":"1544712660500000000","attributes":null,
"unknown":[1,-2.5e3,{"x":null,"":[]},"\u0000",[[]]]}],
"links":[],"status":{"code":2,"message":"line\nother"},"droppedEventsCount":1}]}],
"schemaUrl":"https://opentelemetry.io/schemas/1.0.0"}]}  `

// documents are values of each kind, right and wrong.
var documents = []string{
	`0`, `-0`, `7`, `-7`, `10`, `01`, `-01`, `00`, `-`, `--1`, `+1`, `-+1`, `1-`, `.5`, `1.`, `1.5`, `-1.5`, `0.5`,
	`1.5.5`, `1e5`, `1E+5`,
	`1e-5`, `1e`, `1e+`, `1.e5`, `1e400`, `-1e400`, `0e400`, `1e-400`, `1x`, `0x1`, `1_0`, `Infinity`, `NaN`, `1 `,
	`0 `, `1,`, `1]`, `1}`, `1:`, `1"`,
	`2147483647`, `2147483648`, `-2147483648`, `-2147483649`, `4294967295`, `4294967296`, `10000000000`,
	`9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`,
	`18446744073709551615`, `18446744073709551616`, `40000000000000000000`, `99999999999999999999`,
	`0.1`, `0.000001`, `123456.789012345`, `16777217.0000001`, `9007199254740993`, `9007199254740993.5`,
	`1.7976931348623157e+308`,
	`""`, `"a"`, `"1"`, `"NaN"`, `"a`, `"`, `"a\"b"`, `"\\"`, `"\`, `"\n"`, `"\x"`, `"\u"`, `"\u00"`, `"\u00e9"`,
	`"\u00E9x"`, `"\u00g0"`, `"\ud83d\ude00"`,
	`"\ud83d"`, `"\ud83d`, `"\ud83d\`, `"\ud83d\u`, `"\ud83d\u00`, `"\ude00\ud83d"`, `"\ud83d\ud83d\ude00"`,
	`"\ud83d\n"`, `"\ud83d\x"`, `"\ud83dx"`,
	"\"\x01\"", "\"\\n\x01\"", "\"\x01\\n\"", "\"\t\"", "\"a\nb\"", "\"\x7f\"", "\"\xff\"", "\"\xed\xa0\x80\"",
	"\"\u2028\"", `"0123456789abcdef\"0123"`,
	`null`, `nul`, `nulL`, `nullx`, `true`, `tru`, `trueX`, `false`, `fals`, `True`, `n`, `t`, `f`,
	`[]`, `[ ]`, `[1]`, `[1,2]`, `[1,]`, `[,1]`, `[,]`, `[1 2]`, `[1}`, `[`, `[1`, `[1,`, `]`, `[[]]`, `[[],[]]`,
	`[[1][2]]`, `[1 null`, `[null]`, `[nul`,
	`{}`, `{ }`, `{"a":1}`, `{"a":1,"b":2}`, `{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{"a":}`, `{"a"}`, `{a:1}`,
	`{"a":1 "b":2}`, `{"a":1]`, `{`, `{"`, `{"a"`,
	`{"a":`, `{"a":1`, `{"a":1,`, `}`, `{"":1}`, `{"":1,"a":2}`, `{"a":{"":{}}}`, `{null:1}`, `{"a":1,null:2}`,
	`{"a":1 null`, `{"\u0061":1}`, `{"a":[{"b":[]}]}`,
	``, ` `, "\n\t\r ", "\x00", "\v", "\ufeff{}", `,`, `:`, `,1`, `,{}`, `/**/1`, `{}{}`, `[][]`, `[]]`, `{} x`,
}
