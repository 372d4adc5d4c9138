// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary executes itself to be another process with the spool; these say what that does.
const (
	envRole = "SPOOL_TEST_ROLE"
	envDir  = "SPOOL_TEST_DIR"

	roleHold = "hold" // opens the spool, and waits
	rolePut  = "put"  // writes records until it is killed
)

func TestMain(m *testing.M) {
	switch role := os.Getenv(envRole); role {
	case roleHold, rolePut:
		if err := other(role, os.Getenv(envDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	default:
		os.Exit(m.Run())
	}
}

// other is the other process. It says on stdout what it has done, a line for each.
func other(role, dir string) error {
	s, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	if err != nil {
		return err
	}
	fmt.Println("locked")
	if role == roleHold {
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	}
	for i := range maxRecords {
		// Large, so that the kill has a good chance to come in the middle of one.
		if _, err := s.Put(Record{Signal: "logs", Pipeline: "logs", Items: i + 1, Payload: payload(64 << 10)}); err != nil {
			return err
		}
		fmt.Println(i + 1)
	}
	return nil
}

// process is another process with the spool.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Scanner
}

// start returns when the other process has the lock.
func start(t *testing.T, role, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envRole+"="+role, envDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, stdin: stdin, stdout: bufio.NewScanner(stdout)}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	require.Equal(t, "locked", p.line(t))
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	require.True(t, p.stdout.Scan(), "the other process ended: %v", p.stdout.Err())
	return p.stdout.Text()
}

// kill ends the process as Lambda does, and returns what else it had said.
func (p *process) kill(t *testing.T) []string {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	var lines []string
	for p.stdout.Scan() {
		lines = append(lines, p.stdout.Text())
	}
	require.Error(t, p.cmd.Wait())
	return lines
}

// testMaxBytes has room for everything that a test writes, unless it is about just that.
const testMaxBytes = 256 << 20

var testTime = time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.UTC)

func payload(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func testRecord() Record {
	return Record{Signal: "traces", Pipeline: "traces/a", Items: 3, Payload: []byte("three spans"), Created: testTime}
}

// record returns one whose file has so many bytes.
func record(t *testing.T, items, size int) Record {
	t.Helper()
	r := testRecord()
	r.Items = items
	r.Payload = payload(size - fixedHeader - len(r.Pipeline))
	return r
}

// spoolDir is where a spool may be made.
func spoolDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "otelcol-lambda", "spool")
}

// open expects a spool without anything to report.
func open(t *testing.T, dir string, maxBytes int64) *Spool {
	t.Helper()
	s, skipped := reopened(t, dir, maxBytes)
	require.Empty(t, skipped)
	return s
}

func reopened(t *testing.T, dir string, maxBytes int64) (*Spool, []Skipped) {
	t.Helper()
	s, skipped, err := Open(Options{Dir: dir, MaxBytes: maxBytes, Now: func() time.Time { return testTime }})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s, skipped
}

// put expects that nothing has to make room.
func put(t *testing.T, s *Spool, r Record) {
	t.Helper()
	skipped, err := s.Put(r)
	require.NoError(t, err)
	require.Empty(t, skipped)
}

// take expects a record, and nothing to report.
func take(t *testing.T, s *Spool, pipeline string) *Entry {
	t.Helper()
	e, skipped := s.Take(pipeline)
	require.Empty(t, skipped)
	require.NotNil(t, e)
	return e
}

func requireNone(t *testing.T, s *Spool, pipeline string) {
	t.Helper()
	e, skipped := s.Take(pipeline)
	require.Empty(t, skipped)
	require.Nil(t, e)
}

// files lists a directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// spooled makes a directory with the test record in its first file, and returns the file's path.
func spooled(t *testing.T) (dir, path string) {
	t.Helper()
	dir = spoolDir(t)
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())
	require.NoError(t, s.Close())
	names := files(t, dir)
	require.Len(t, names, 1)
	return dir, filepath.Join(dir, names[0])
}

// encoded is the file of a record.
func encoded(tb testing.TB, r Record) []byte {
	tb.Helper()
	header, err := encodeHeader(r)
	require.NoError(tb, err)
	return append(header, r.Payload...)
}

func longName(n int) string { return strings.Repeat("p", n) }
