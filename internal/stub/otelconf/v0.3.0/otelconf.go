// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package otelconf has the types in which the collector describes views of its own metrics.
package otelconf

// View says what becomes of the metrics that it selects.
type View struct {
	Selector *ViewSelector
	Stream   *ViewStream
}

// ViewSelector selects metrics by name. A nil name is any.
type ViewSelector struct {
	InstrumentName *string
	MeterName      *string
}

// ViewStream is what becomes of a metric.
type ViewStream struct {
	Aggregation   *ViewStreamAggregation
	AttributeKeys *IncludeExclude
}

// ViewStreamAggregation is how a metric is aggregated.
type ViewStreamAggregation struct {
	Drop ViewStreamAggregationDrop
}

// ViewStreamAggregationDrop drops a metric if it is not nil.
type ViewStreamAggregationDrop map[string]any

// IncludeExclude chooses attributes.
type IncludeExclude struct {
	Excluded []string
	Included []string
}
