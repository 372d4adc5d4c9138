// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package copystructure

import (
	"reflect"
	"testing"
	"time"
)

type expanded struct {
	Value    any
	Original string
	hidden   []int
}

// everything has what a configuration may be made of, and more.
func everything() map[string]any {
	number := 7
	return map[string]any{
		"text": "a", "bool": true, "int": 1, "float": 1.5, "nothing": nil, "time": time.Unix(1, 2),
		"map":       map[string]any{"list": []any{"x", map[string]any{"deep": []any{1, 2}}, nil}},
		"nil map":   map[string]any(nil),
		"nil list":  []any(nil),
		"empty":     []any{},
		"typed":     map[string][]int{"a": {1, 2}, "b": nil},
		"any map":   map[any]any{1: []any{"y"}},
		"pointer":   &number,
		"nil":       (*int)(nil),
		"struct":    expanded{Value: map[string]any{"k": []any{"v"}}, Original: "k: [v]", hidden: []int{1}},
		"array":     [2][]int{{1}, {2}},
		"int32":     int32(3),
		"structs":   []expanded{{Value: []any{1}}},
		"interface": []any{any(map[string]any{"z": 1})},
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	original, want := everything(), everything()
	out, err := Copy(&original)
	if err != nil {
		t.Fatal(err)
	}
	copied := *out.(*map[string]any)
	if !reflect.DeepEqual(want, copied) {
		t.Fatalf("want %#v, got %#v", want, copied)
	}
	copied["text"] = "changed"
	copied["map"].(map[string]any)["list"].([]any)[1].(map[string]any)["deep"].([]any)[0] = "changed"
	copied["typed"].(map[string][]int)["a"][0] = 99
	copied["any map"].(map[any]any)[1].([]any)[0] = "changed"
	*copied["pointer"].(*int) = 99
	copied["struct"].(expanded).Value.(map[string]any)["k"].([]any)[0] = "changed"
	copied["structs"].([]expanded)[0].Value.([]any)[0] = "changed"
	copied["interface"].([]any)[0].(map[string]any)["z"] = "changed"
	array := copied["array"].([2][]int)
	array[0][0] = 99
	if !reflect.DeepEqual(want, original) {
		t.Fatalf("the original has changed: %#v", original)
	}
}

func TestCopyOfOtherThings(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, "a", 1, []any{1}, map[string]any(nil), (*map[string]any)(nil), [0]int{}, struct{}{}} {
		got, err := Copy(v)
		if err != nil || !reflect.DeepEqual(v, got) {
			t.Fatalf("Copy(%#v) = %#v, %v", v, got, err)
		}
	}
	var none map[string]any
	got, err := Copy(&none)
	if m, ok := got.(*map[string]any); err != nil || !ok || *m != nil {
		t.Fatalf("got %#v, %v", got, err)
	}
}
