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

// sandbox is what variables tell of the environment's own.
type sandbox struct {
	api     string // where the APIs are
	token   string // for those that want one
	tempDir string
}

// extensionEnv is the environment of an extension. It has nothing of ours but the search path: a layer must not come to
// depend on the machine of the developer.
//
// TMPDIR, which Lambda does not set, stands for /tmp: each environment has one of its own, which resets leave as it is.
func (o Options) extensionEnv(s sandbox) []string {
	env := map[string]string{
		"AWS_REGION":                      o.Region,
		"AWS_DEFAULT_REGION":              o.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        o.FunctionName,
		"AWS_LAMBDA_FUNCTION_VERSION":     o.FunctionVersion,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(o.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  o.Mode.initializationType(),
		"AWS_LAMBDA_RUNTIME_API":          s.api,
		"HOME":                            os.TempDir(),
		"TMPDIR":                          s.tempDir,
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
	if !o.NoMetadata {
		env["AWS_LAMBDA_METADATA_API"] = s.api
		env["AWS_LAMBDA_METADATA_TOKEN"] = s.token
	}
	maps.Copy(env, o.Env)
	if o.servesCredentials() {
		for _, key := range []string{envAccessKey, envSecretKey, envSessionToken} {
			delete(env, key)
		}
		env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://" + s.api + credentialsPath
		env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = s.token
	}
	list := make([]string, 0, len(env))
	for key, value := range env {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	return list
}

// functionEnv has what extensions do not get besides.
func (o Options) functionEnv(s sandbox, taskRoot, instance string) []string {
	list := append(o.extensionEnv(s),
		"_HANDLER="+o.Handler,
		"LAMBDA_TASK_ROOT="+taskRoot,
		"LAMBDA_RUNTIME_DIR=/var/runtime",
	)
	// Each environment that comes of a snapshot has a log stream of its own, which the snapshot cannot know.
	if o.Mode != ModeSnapStart {
		list = append(list,
			"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+o.FunctionName, "AWS_LAMBDA_LOG_STREAM_NAME="+instance)
	}
	if o.Mode == ModeManagedInstances {
		list = append(list, "AWS_LAMBDA_MAX_CONCURRENCY="+strconv.Itoa(o.Concurrency))
	}
	return list
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
