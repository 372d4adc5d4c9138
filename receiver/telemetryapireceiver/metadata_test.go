// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package telemetryapireceiver

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/faasmetrics"
	"github.com/otelcol-lambda/otelcol-lambda/receiver/telemetryapireceiver/internal/metadata"
)

// metadataFile is what of metadata.yaml is in use here. Keys that it does not know are an error.
type metadataFile struct {
	DisplayName    string `mapstructure:"display_name"`
	Type           string `mapstructure:"type"`
	GithubProject  string `mapstructure:"github_project"`
	SemConvVersion string `mapstructure:"sem_conv_version"`
	Status         struct {
		DisableCodecovBadge bool                `mapstructure:"disable_codecov_badge"`
		Class               string              `mapstructure:"class"`
		Stability           map[string][]string `mapstructure:"stability"`
		Distributions       []string            `mapstructure:"distributions"`
	} `mapstructure:"status"`
	ResourceAttributes map[string]metadataAttribute `mapstructure:"resource_attributes"`
	Attributes         map[string]metadataAttribute `mapstructure:"attributes"`
	Metrics            map[string]metadataMetric    `mapstructure:"metrics"`
}

type metadataAttribute struct {
	Enabled            bool           `mapstructure:"enabled"`
	Description        string         `mapstructure:"description"`
	Type               string         `mapstructure:"type"`
	Enum               []string       `mapstructure:"enum"`
	RequirementLevel   string         `mapstructure:"requirement_level"`
	SemanticConvention *semanticsLink `mapstructure:"semantic_convention"`
}

type metadataMetric struct {
	Enabled               bool           `mapstructure:"enabled"`
	Description           string         `mapstructure:"description"`
	ExtendedDocumentation string         `mapstructure:"extended_documentation"`
	Unit                  string         `mapstructure:"unit"`
	Sum                   *metadataData  `mapstructure:"sum"`
	Gauge                 *metadataData  `mapstructure:"gauge"`
	Histogram             *metadataData  `mapstructure:"histogram"`
	Attributes            []string       `mapstructure:"attributes"`
	Stability             string         `mapstructure:"stability"`
	SemanticConvention    *semanticsLink `mapstructure:"semantic_convention"`
}

type metadataData struct {
	ValueType              string    `mapstructure:"value_type"`
	Monotonic              bool      `mapstructure:"monotonic"`
	AggregationTemporality string    `mapstructure:"aggregation_temporality"`
	BucketBoundaries       []float64 `mapstructure:"bucket_boundaries"`
}

type semanticsLink struct {
	Ref string `mapstructure:"ref"`
}

func readMetadata(t *testing.T) (file metadataFile) {
	t.Helper()
	conf, err := confmaptest.LoadConf("metadata.yaml")
	require.NoError(t, err)
	require.NoError(t, conf.Unmarshal(&file))
	return file
}

// kind is what the code says about the form of a metric.
func (m metadataMetric) kind(t *testing.T) (kind faasmetrics.Kind, bounds []float64) {
	t.Helper()
	switch {
	case m.Sum != nil:
		require.Equal(t, metadataData{ValueType: "int", Monotonic: true, AggregationTemporality: "cumulative"}, *m.Sum)
		return faasmetrics.KindCounter, nil
	case m.Gauge != nil:
		require.Equal(t, metadataData{ValueType: "int"}, *m.Gauge)
		return faasmetrics.KindGauge, nil
	default:
		require.NotNil(t, m.Histogram)
		require.Equal(t, "double", m.Histogram.ValueType)
		require.Equal(t, "cumulative", m.Histogram.AggregationTemporality)
		return faasmetrics.KindHistogram, m.Histogram.BucketBoundaries
	}
}

// TestMetadataMetrics holds the metrics in metadata.yaml against those that the code makes.
func TestMetadataMetrics(t *testing.T) {
	t.Parallel()
	file := readMetadata(t)
	made := map[string]bool{}
	attributes := map[string]bool{}
	for _, want := range faasmetrics.Metrics() {
		made[want.Name] = true
		got, ok := file.Metrics[want.Name]
		require.True(t, ok, want.Name)
		require.True(t, got.Enabled)
		require.Equal(t, want.Unit, got.Unit, want.Name)
		require.Equal(t, want.Description, got.Description, want.Name)
		require.Equal(t, "alpha", got.Stability, want.Name)
		kind, bounds := got.kind(t)
		require.Equal(t, want.Kind, kind, want.Name)
		if kind == faasmetrics.KindHistogram {
			require.Equal(t, want.Bounds(), bounds, want.Name)
		}
		require.Equal(t, want.Attribute, strings.Join(got.Attributes, ","), want.Name)
		for _, name := range got.Attributes {
			attributes[name] = true
		}
		require.Equal(t, strings.HasPrefix(want.Name, "faas."), got.SemanticConvention != nil, want.Name)
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(made)), slices.Collect(maps.Keys(file.Metrics)))
	require.ElementsMatch(t, slices.Collect(maps.Keys(attributes)), slices.Collect(maps.Keys(file.Attributes)))
}

// TestMetadataResource holds the resource attributes in metadata.yaml against those that the code sets.
func TestMetadataResource(t *testing.T) {
	t.Parallel()
	resource, _ := newResource(testEnvironment, extensionsapi.Registration{AccountID: "123456789012"})
	mapper := logMapper{resource: resource, zone: func() string { return "use1-az1" }}
	set := pcommon.NewResource()
	mapper.putResource(set, &streamState{instance: "2026/10/08/[$LATEST]1"})

	file := readMetadata(t)
	require.Len(t, file.ResourceAttributes, set.Attributes().Len())
	types := map[pcommon.ValueType]string{pcommon.ValueTypeStr: "string", pcommon.ValueTypeInt: "int"}
	for name, value := range set.Attributes().All() {
		attribute, ok := file.ResourceAttributes[name]
		require.True(t, ok, name)
		require.Equal(t, types[value.Type()], attribute.Type, name)
		require.Equal(t, name != attrZoneID, attribute.Enabled, name)
		if len(attribute.Enum) > 0 {
			require.Contains(t, attribute.Enum, value.AsString())
		}
	}
}

// TestDocumentation writes documentation.md, or compares it.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	file := readMetadata(t)
	require.Equal(t, metadata.Type.String(), file.Type)
	text := template.Must(template.ParseFiles(filepath.Join("testdata", "documentation.md.tmpl")))
	var got strings.Builder
	require.NoError(t, text.Execute(&got, &documentation{metadataFile: file}))
	const path = "documentation.md"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o600))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(), "documentation.md is stale: run make generate")
}

// documentation is what the template is filled with.
type documentation struct{ metadataFile }

// Kind is how a metric's form is called in the table.
func (*documentation) Kind(m metadataMetric) string {
	switch {
	case m.Sum != nil:
		return "sum"
	case m.Gauge != nil:
		return "gauge"
	default:
		return "histogram"
	}
}

// Bounds returns the different lists of bounds, each with the metrics that have it.
func (d *documentation) Bounds() (all []boundsOfMetrics) {
	for _, name := range slices.Sorted(maps.Keys(d.Metrics)) {
		h := d.Metrics[name].Histogram
		if h == nil {
			continue
		}
		i := slices.IndexFunc(all, func(b boundsOfMetrics) bool { return slices.Equal(b.Bounds, h.BucketBoundaries) })
		if i < 0 {
			i = len(all)
			all = append(all, boundsOfMetrics{Bounds: h.BucketBoundaries})
		}
		all[i].Metrics = append(all[i].Metrics, name)
	}
	slices.SortStableFunc(all, func(a, b boundsOfMetrics) int { return cmp.Compare(len(b.Metrics), len(a.Metrics)) })
	return all
}

type boundsOfMetrics struct {
	Bounds  []float64
	Metrics []string
}

// Text writes numbers as people do.
func (b boundsOfMetrics) Text() string {
	texts := make([]string, 0, len(b.Bounds))
	for _, bound := range b.Bounds {
		switch {
		case bound >= 1<<30:
			texts = append(texts, fmt.Sprintf("%g GiB", bound/(1<<30)))
		case bound >= 1<<20:
			texts = append(texts, fmt.Sprintf("%g MiB", bound/(1<<20)))
		case bound >= 1<<10:
			texts = append(texts, fmt.Sprintf("%g KiB", bound/(1<<10)))
		default:
			texts = append(texts, strconv.FormatFloat(bound, 'g', -1, 64))
		}
	}
	return strings.Join(texts, ", ")
}

// Code puts names into backquotes, with commas between them.
func (*documentation) Code(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

// Link is where the semantic conventions describe something; below is the folder of their documentation.
func (d *documentation) Link(below string, link *semanticsLink) string {
	if link == nil {
		return ""
	}
	return "https://github.com/open-telemetry/semantic-conventions/blob/v" + d.SemConvVersion + "/docs/" + below + link.Ref
}

// TestReadmeAttributes holds the attributes of log records and spans that README.md has against those of the golden files.
func TestReadmeAttributes(t *testing.T) {
	t.Parallel()
	// Fields that Lambda does not send.
	invented := regexp.MustCompile(`^aws\.lambda\.(new.*|cpu_time_used|metrics|request_id)$`)
	key := regexp.MustCompile(`key: ((?:aws\.lambda|faas|cloud|error|exception)\.[a-z_.]+)\n`)
	made := map[string]bool{}
	for _, pattern := range []string{
		"testdata/*/logs.yaml", "internal/invocationspans/testdata/*/traces.yaml",
	} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, match := range key.FindAllSubmatch(content, -1) {
				if name := string(match[1]); !invented.MatchString(name) {
					made[name] = true
				}
			}
		}
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for name := range made {
		require.Contains(t, string(readme), "`"+name+"`", "README.md does not say what this attribute is")
	}
	for name := range readMetadata(t).ResourceAttributes {
		made[name] = true
	}
	for _, m := range faasmetrics.Metrics() {
		made[m.Name] = true
	}
	named := regexp.MustCompile("`((?:aws\\.lambda|faas|cloud|error|exception)\\.[a-z_.]+)`")
	// Old names, and what is explained not to be there.
	absent := []string{"faas.execution", "faas.invoked_provider", "faas.invoked_region", "faas.trigger"}
	for _, match := range named.FindAllSubmatch(readme, -1) {
		if name := string(match[1]); !slices.Contains(absent, name) {
			require.True(t, made[name], "%s is in README.md, and nothing makes it", name)
		}
	}
}
