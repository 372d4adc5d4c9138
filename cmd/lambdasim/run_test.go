// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// envRole makes the test binary a function.
const envRole = "LAMBDASIM_TEST_ROLE"

// TestMain lets the test binary be the function program as well: one that sends a span to wherever it is told to, and
// so shows what the tap sees without a layer.
func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "idle":
		lambda.Start(func() (string, error) { return "done", nil })
		return
	case "function":
		lambda.Start(func() (string, error) {
			td := ptrace.NewTraces()
			span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			span.SetName("work")
			span.SetTraceID([16]byte{1})
			span.SetSpanID([8]byte{2})
			body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
			if err != nil {
				return "", err
			}
			resp, err := http.Post(os.Getenv(envSDKEndpoint)+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
			if err != nil {
				return "", err
			}
			return resp.Status, resp.Body.Close()
		})
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, arguments ...string) (output string, err error) {
	t.Helper()
	var out strings.Builder
	cmd := newRunCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(arguments)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// TestRunWithoutExtensions has nobody take what the function sends.
func TestRunWithoutExtensions(t *testing.T) {
	story := filepath.Join(t.TempDir(), "story.json")
	output, err := command(t, "--layer", t.TempDir(), "--function", self(t), "--env", envRole+"=function",
		"--backend-http", "127.0.0.1:0", "--invocations", "2", "--gap", "1ms", "--json", story, "--show",
		"--tap-target", "http://127.0.0.1:1")
	require.NoError(t, err, output)
	require.Contains(t, output, "init          success")
	require.Contains(t, output, "invocation 1   cold")
	require.Contains(t, output, "invocation 2   warm")
	require.Contains(t, output, "lost items: 0", "nothing took the spans, so none are lost")

	text, err := os.ReadFile(story)
	require.NoError(t, err)
	var got struct {
		Lambda struct {
			Invocations []struct{ Status string }
			Freezes     int
		}
		Account struct{ Accepted int }
	}
	require.NoError(t, json.Unmarshal(text, &got))
	require.Len(t, got.Lambda.Invocations, 2)
	require.Positive(t, got.Lambda.Freezes)
	require.Zero(t, got.Account.Accepted)
}

// rows are the lines of a run that begin so.
func rows(output, begin string) (found []string) {
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, begin) {
			found = append(found, line)
		}
	}
	return found
}

func TestRunModes(t *testing.T) {
	for mode, first := range map[string]string{
		"provisioned-concurrency": "invocation 1   first", "snap-start": "invocation 1   restored",
		"on-demand": "invocation 1   cold",
	} {
		t.Run(mode, func(t *testing.T) {
			output, err := command(t, "--layer", t.TempDir(), "--function", self(t), "--env", envRole+"=idle",
				"--mode", mode, "--invocations", "3", "--gap", "1ms", "--oom", "2")
			require.NoError(t, err, output)
			require.Contains(t, output, first)
			require.Contains(t, output, "failure Runtime.OutOfMemory")
			require.Contains(t, output, "invocation 3   cold", "new processes, for which the caller waits in any mode")
			restores := rows(output, "restore  ")
			if mode == "snap-start" {
				require.Len(t, restores, 1)
				require.Contains(t, restores[0], "success")
			} else {
				require.Empty(t, restores)
			}
		})
	}
}

// Each invocation has a row of its own, which names it.
func TestRunManagedInstances(t *testing.T) {
	story := filepath.Join(t.TempDir(), "story.json")
	arguments := []string{
		"--layer", t.TempDir(), "--function", self(t), "--env", envRole + "=idle", "--mode", "managed-instances",
		"--concurrency", "3", "--invocations", "7", "--gap", "1ms", "--json", story,
	}
	output, err := command(t, arguments...)
	require.NoError(t, err, output)
	text, err := os.ReadFile(story)
	require.NoError(t, err)
	var got struct {
		Lambda struct {
			Concurrency int
			Invocations []struct{ RequestID, Status string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, 3, got.Lambda.Concurrency)
	require.Len(t, got.Lambda.Invocations, 7)
	require.Len(t, rows(output, "invocation "), 7)
	for _, inv := range got.Lambda.Invocations {
		require.Equal(t, "success", inv.Status)
		require.Equal(t, 1, strings.Count(output, inv.RequestID))
	}
	require.Contains(t, output, "shutdown      spindown")

	// A crash ends it, and the run.
	output, err = command(t, append(arguments, "--oom", "1")...)
	require.NoError(t, err, output)
	require.Contains(t, output, "failure Runtime.OutOfMemory")
	require.Contains(t, output, "Lambda would start another one")
	require.Contains(t, output, "shutdown      failure")
}

// TestRunFindsWhatIsLost has the tap forward to something that takes everything and delivers nothing.
func TestRunFindsWhatIsLost(t *testing.T) {
	hole := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hole.Close)

	output, err := command(t, "--layer", t.TempDir(), "--function", self(t), "--env", envRole+"=function",
		"--invocations", "1", "--tap-target", hole.URL)
	require.ErrorContains(t, err, "1 items lost")
	require.Contains(t, output, "lost items: 1")
}

func TestRunReportsBrokenRules(t *testing.T) {
	layer := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(layer, "extensions"), 0o755))
	// Starts, ends, and was never an extension.
	require.NoError(t, os.Symlink("/bin/true", filepath.Join(layer, "extensions", "quitter")))
	output, err := command(t, "--layer", layer, "--function", self(t), "--env", envRole+"=function", "--invocations", "0")
	require.ErrorContains(t, err, "broke")
	require.Contains(t, output, "quitter")
}

func TestRunRefusesFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"no layer":           {arguments: []string{"--function", self(t)}, says: "layer"},
		"layer missing":      {arguments: []string{"--layer", "/nowhere", "--function", self(t)}, says: "/nowhere"},
		"function missing":   {arguments: []string{"--layer", t.TempDir(), "--function", "/nowhere"}, says: "--function"},
		"payload":            {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--payload", "{"}, says: "--payload"},
		"payload file":       {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--payload", "@/nowhere"}, says: "--payload"},
		"freeze":             {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--freeze", "hard"}, says: "--freeze"},
		"telemetry":          {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--telemetry", "maybe"}, says: "--telemetry"},
		"backend faults":     {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--backend-faults", "moody"}, says: "--backend-faults"},
		"negative":           {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--invocations", "-1"}, says: "--invocations"},
		"memory":             {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--memory", "1"}, says: "128"},
		"mode":               {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--mode", "spot"}, says: "--mode"},
		"concurrency":        {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--concurrency", "2"}, says: "concurrency 2"},
		"telemetry faults":   {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--telemetry-faults", "x"}, says: "--telemetry-faults"},
		"variable":           {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--env", "KEY"}, says: "--env"},
		"reserved variables": {arguments: []string{"--layer", t.TempDir(), "--function", self(t), "--env", "AWS_REGION=x"}, says: "AWS_REGION"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := command(t, tt.arguments...)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestVariablesMayHoldCommas(t *testing.T) {
	set := runSettings{
		function: self(t), freeze: "auto", telemetry: "supported", platform: platformSettings{mode: "on-demand"}, env: []string{"HEADERS=a=b,c=d", "EMPTY="},
	}
	options, err := set.options(nil)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"HEADERS": "a=b,c=d", "EMPTY": ""}, options.Env)
}

func TestOpenLayer(t *testing.T) {
	pack := func(t *testing.T, names ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "layer.zip")
		file, err := os.Create(path)
		require.NoError(t, err)
		w := zip.NewWriter(file)
		for _, name := range names {
			header := &zip.FileHeader{Name: name, Method: zip.Deflate}
			header.SetMode(0o755)
			f, err := w.CreateHeader(header)
			require.NoError(t, err)
			_, err = f.Write([]byte("#!"))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		require.NoError(t, file.Close())
		return path
	}
	t.Run("zip", func(t *testing.T) {
		dir, remove, err := openLayer(pack(t, "extensions/a", "collector-config/config.yaml"))
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, "extensions", "a"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
		remove()
		require.NoDirExists(t, dir)
	})
	t.Run("folder", func(t *testing.T) {
		want := t.TempDir()
		dir, remove, err := openLayer(want)
		require.NoError(t, err)
		remove()
		require.Equal(t, want, dir)
		require.DirExists(t, want)
	})
	t.Run("zip that points outside", func(t *testing.T) {
		_, _, err := openLayer(pack(t, "../evil"))
		require.Error(t, err)
	})
	t.Run("no zip", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "layer.zip")
		require.NoError(t, os.WriteFile(path, []byte("not a zip"), 0o600))
		_, _, err := openLayer(path)
		require.ErrorContains(t, err, path)
	})
}
