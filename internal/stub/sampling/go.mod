module github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling

go 1.26.0
