// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "strings"

// Field is one header field. Names are compared without regard to case.
type Field struct {
	// Name is as received or as it is to be sent; its case has no meaning.
	Name string
	// Value has no whitespace around it when it was received.
	Value string
}

// Header is the fields of a message in their order.
type Header []Field

// Get returns the value of the first field called name, or "".
func (h Header) Get(name string) string {
	for i := range h {
		if equalFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has says whether there is a field called name.
func (h Header) Has(name string) bool {
	for i := range h {
		if equalFold(h[i].Name, name) {
			return true
		}
	}
	return false
}

// Add appends a field.
func (h *Header) Add(name, value string) {
	*h = append(*h, Field{Name: name, Value: value})
}

// Set gives the first field called name the value, or appends a field, and removes further fields of this name.
func (h *Header) Set(name, value string) {
	kept, found := (*h)[:0], false
	for _, f := range *h {
		if equalFold(f.Name, name) {
			if found {
				continue
			}
			found = true
			f.Value = value
		}
		kept = append(kept, f)
	}
	*h = kept
	if !found {
		h.Add(name, value)
	}
}

// Del removes the fields called name.
func (h *Header) Del(name string) {
	kept := (*h)[:0]
	for _, f := range *h {
		if !equalFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	*h = kept
}

// hasToken says whether a field called name has token in its comma-separated list.
func (h Header) hasToken(name, token string) bool {
	for i := range h {
		if equalFold(h[i].Name, name) && listHas(h[i].Value, token) {
			return true
		}
	}
	return false
}

func listHas(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		if equalFold(trimOWS(item), token) {
			return true
		}
	}
	return false
}
