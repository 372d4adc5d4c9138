// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package copystructure makes deep copies.
//
// The configuration is copied some fifty times while it is resolved and decoded. The original walks each value by
// reflection, with a callback for each step, which is a tenth of the CPU of a start; what a configuration is made of can
// be copied as what it is.
package copystructure

import "reflect"

// Copy returns a deep copy of v, which must not contain itself. Of structs, the exported fields are deep copies and the
// others are as they are. The error is always nil.
func Copy(v any) (any, error) {
	if m, ok := v.(*map[string]any); ok && m != nil {
		copied := copyMap(*m)
		return &copied, nil
	}
	return copyAny(v), nil
}

func copyMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	copied := make(map[string]any, len(m))
	for key, value := range m {
		copied[key] = copyAny(value)
	}
	return copied
}

func copyAny(v any) any {
	switch v := v.(type) {
	case nil, bool, string, int, int64, uint64, float64:
		return v
	case map[string]any:
		return copyMap(v)
	case []any:
		if v == nil {
			return v
		}
		copied := make([]any, len(v))
		for i, value := range v {
			copied[i] = copyAny(value)
		}
		return copied
	default:
		return copyValue(reflect.ValueOf(v)).Interface()
	}
}

func copyValue(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Map, reflect.Slice:
		if v.IsNil() {
			return v
		}
	case reflect.Array, reflect.Struct:
	default:
		return v
	}
	copied := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Interface:
		copied.Set(reflect.ValueOf(copyAny(v.Elem().Interface())))
	case reflect.Pointer:
		copied.Set(reflect.New(v.Type().Elem()))
		copied.Elem().Set(copyValue(v.Elem()))
	case reflect.Map:
		copied.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for entries := v.MapRange(); entries.Next(); {
			copied.SetMapIndex(entries.Key(), copyValue(entries.Value()))
		}
	case reflect.Slice:
		copied.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		copyElements(copied, v)
	case reflect.Array:
		copyElements(copied, v)
	case reflect.Struct:
		copied.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				copied.Field(i).Set(copyValue(v.Field(i)))
			}
		}
	}
	return copied
}

func copyElements(to, from reflect.Value) {
	for i := range from.Len() {
		to.Index(i).Set(copyValue(from.Index(i)))
	}
}
