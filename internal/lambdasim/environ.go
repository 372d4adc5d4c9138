// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// extensionEnv is the environment of an extension. It has nothing of ours but the search path: a layer must not come to
// depend on the machine of the developer.
//
// TMPDIR, which Lambda does not set, stands for /tmp: each environment has one of its own, which resets leave as it is.
func (o Options) extensionEnv(runtimeAPI, tempDir string) []string {
	env := map[string]string{
		"AWS_REGION":                      o.Region,
		"AWS_DEFAULT_REGION":              o.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        o.FunctionName,
		"AWS_LAMBDA_FUNCTION_VERSION":     o.FunctionVersion,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(o.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  initTypeOnDemand,
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"HOME":                            os.TempDir(),
		"TMPDIR":                          tempDir,
		"LANG":                            "en_US.UTF-8",
		"PATH":                            os.Getenv("PATH"),
		"TZ":                              ":UTC",
	}
	if o.LayerDir != "" {
		env["PATH"] += string(filepath.ListSeparator) + filepath.Join(o.LayerDir, "bin")
		env["LD_LIBRARY_PATH"] = filepath.Join(o.LayerDir, "lib")
	}
	if o.LogFormat == LogFormatJSON {
		env["AWS_LAMBDA_LOG_FORMAT"] = LogFormatJSON
		env["AWS_LAMBDA_LOG_LEVEL"] = "INFO"
	}
	maps.Copy(env, o.Env)
	list := make([]string, 0, len(env))
	for key, value := range env {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	return list
}

// functionEnv has what extensions do not get besides.
func (o Options) functionEnv(runtimeAPI, tempDir, taskRoot, instance string) []string {
	return append(o.extensionEnv(runtimeAPI, tempDir),
		"_HANDLER="+o.Handler,
		"LAMBDA_TASK_ROOT="+taskRoot,
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+o.FunctionName,
		"AWS_LAMBDA_LOG_STREAM_NAME="+instance,
	)
}

// newInstanceID is a log stream name, which is what Lambda really uses as the instance's id.
func newInstanceID(version string, now time.Time) string {
	return fmt.Sprintf("%s/[%s]%s", now.UTC().Format("2006/01/02"), version, randomHex(16))
}

// newTracing is the context of a sampled X-Ray trace.
func newTracing() tracingRecord {
	parent := randomHex(8)
	return tracingRecord{
		SpanID: randomHex(8),
		Type:   traceHeaderType,
		Value:  fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=1", time.Now().Unix(), randomHex(12), parent),
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	// It never fails: the program ends if the kernel has no random numbers.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
