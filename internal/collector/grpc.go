// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"compress/gzip"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zapgrpc"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/grpclog"
)

// setUpGRPC sets what gRPC has for the whole process, before any component uses it.
//
// It is to write to the collector's log; at info it is asked for warnings only, because it tells of each connection. And it
// is to compress at the fastest level: its default takes several times the CPU for a tenth fewer bytes.
func setUpGRPC(logger *zap.Logger) error {
	level := logger.Level()
	if level == zapcore.InfoLevel {
		level = zapcore.WarnLevel
	}
	grpclog.SetLoggerV2(terse{zapgrpc.NewLogger(logger.WithOptions(zap.IncreaseLevel(level)).With(zap.Bool("grpc_log", true)))})
	return grpcgzip.SetLevel(gzip.BestSpeed)
}

// terse has nothing to say to what gRPC asks by verbosity. zap would take that for levels, and log an ordinary end of a
// connection as a warning.
type terse struct{ *zapgrpc.Logger }

// V implements grpclog.LoggerV2.
func (terse) V(level int) bool { return level <= 0 }
