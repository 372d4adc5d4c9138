// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sandboxstat

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	t.Parallel()
	sample := NewReader("testdata/lambda").Read()
	require.Equal(t, known((23370+1000+1880)*10_000_000), sample.CPU)
	require.Equal(t, known(18284+5022+1000+200), sample.Network, "neither loopback nor what carries the logs")
}

func TestReadNothing(t *testing.T) {
	t.Parallel()
	reader := NewReader(t.TempDir())
	require.Equal(t, Sample{}, reader.Read())
	require.Equal(t, InUse{}, reader.ReadInUse())
}

func TestReadThisComputer(t *testing.T) {
	t.Parallel()
	reader := NewReader("")
	before := reader.Read()
	require.True(t, before.CPU.Known)
	inUse := reader.ReadInUse()
	require.True(t, inUse.Tmp.Known)
	require.True(t, inUse.Threads.Known)

	// The kernel counts in steps: go on until one is over.
	usage := reader.Read().Sub(before)
	for usage.CPU.Known && usage.CPU.N == 0 {
		usage = reader.Read().Sub(before)
	}
	require.True(t, usage.CPU.Known)
	require.Zero(t, usage.CPU.N%nanosPerTick)
}

func TestTmp(t *testing.T) {
	t.Parallel()
	var fs syscall.Statfs_t
	require.NoError(t, syscall.Statfs("testdata/lambda/tmp", &fs))
	used := NewReader("testdata/lambda").tmp()
	require.True(t, used.Known)
	// Somebody else may write to the same disk meanwhile.
	require.InDelta(t, float64(fs.Blocks-fs.Bfree)*float64(fs.Frsize), float64(used.N), float64(1<<33))
	require.Less(t, used.N, fs.Blocks*uint64(fs.Frsize))
}

func TestParseCPU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stat string
		want Value
	}{
		{stat: "cpu  1 2 3 4\n", want: known(60_000_000)},
		{stat: "cpu  1 2 3\ncpu0 1 2 3\n", want: known(60_000_000)},
		{stat: ""},
		{stat: "cpu  1 2"},
		{stat: "cpu  1 2\n"},
		{stat: "cpu  1 x 3 4\n"},
		{stat: "cpu0 1 2 3 4\n"},
		{stat: "cpu  1 2 3 4"},
	} {
		require.Equal(t, tt.want, parseCPU([]byte(tt.stat)), "%q", tt.stat)
	}
}

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	const titles = "Inter-|   Receive  |  Transmit\n face |bytes    packets |bytes    packets\n"
	for _, tt := range []struct {
		name, dev string
		want      Value
	}{
		{name: "one", dev: titles + "Ceth1: 10 1 0 0 0 0 0 0 32 1 0 0 0 0 0 0\n", want: known(42)},
		{name: "nothing", dev: ""},
		{name: "no interface", dev: titles},
		{name: "loopback alone", dev: titles + "    lo: 10 1 0 0 0 0 0 0 32 1 0 0 0 0 0 0\n"},
		{name: "short", dev: titles + "eth0: 10 1 0 0 0 0 0 0 32 1\neth1: 10 1 0 0"},
		{name: "no number", dev: titles + "eth0: 10 1 0 0 0 0 0 0 - 1\n"},
	} {
		require.Equal(t, tt.want, parseNetwork([]byte(tt.dev)), tt.name)
	}
}

func TestNetworkTooLong(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var dev strings.Builder
	for i := range 200 {
		dev.WriteString("eth" + strconv.Itoa(i) + ": 10 1 0 0 0 0 0 0 32 1 0 0 0 0 0 0\n")
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "proc", "net"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "proc", "net", "dev"), []byte(dev.String()), 0o600))
	require.Equal(t, Value{}, NewReader(root).network(), "half of the interfaces is no answer")
}

// addProcess makes the folders of a process with as many descriptors and threads.
func addProcess(tb testing.TB, root string, pid, files, threads int) {
	tb.Helper()
	process := filepath.Join(root, "proc", strconv.Itoa(pid))
	require.NoError(tb, os.MkdirAll(filepath.Join(process, "fd"), 0o700))
	for i := range files {
		require.NoError(tb, os.WriteFile(filepath.Join(process, "fd", strconv.Itoa(i)), nil, 0o600))
	}
	for i := range threads {
		require.NoError(tb, os.MkdirAll(filepath.Join(process, "task", strconv.Itoa(pid+i)), 0o700))
	}
}

func TestReadInUse(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	addProcess(t, root, 1, 3, 1)
	addProcess(t, root, 42, 1000, 7)
	require.NoError(t, os.Mkdir(filepath.Join(root, "proc", "sys"), 0o700))
	// One that has gone while it was being looked at.
	require.NoError(t, os.Mkdir(filepath.Join(root, "proc", "77"), 0o700))
	require.Equal(t, InUse{OpenFiles: known(1003), Threads: known(8)}, NewReader(root).ReadInUse(), "there is no /tmp")
}

func TestReadInUseTooMany(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for pid := range maxProcesses {
		addProcess(t, root, pid+1, 0, 1)
	}
	reader := NewReader(root)
	require.Equal(t, InUse{OpenFiles: known(0), Threads: known(maxProcesses)}, reader.ReadInUse())
	addProcess(t, root, maxProcesses+1, 0, 1)
	require.Equal(t, InUse{}, reader.ReadInUse())
}

// TestProcessOfKernel holds the shortcuts that a real /proc offers against counting.
func TestProcessOfKernel(t *testing.T) {
	t.Parallel()
	reader := NewReader("")
	require.True(t, reader.kernel)
	require.False(t, NewReader("testdata/lambda").kernel)

	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	// Once it answers, it has opened and closed what it needs.
	_, err = stdin.Write([]byte("x"))
	require.NoError(t, err)
	_, err = stdout.Read(make([]byte, 1))
	require.NoError(t, err)

	folder := "/proc/" + strconv.Itoa(child.Process.Pid)
	files := reader.count(folder + "/fd")
	require.GreaterOrEqual(t, files.N, uint64(3))
	require.Equal(t, files, reader.openFiles(folder+"/fd"))
	require.Equal(t, known(1), reader.count(folder+"/task"))
	require.Equal(t, known(1), reader.threads(folder+"/task"))
	require.NoError(t, stdin.Close())
	require.NoError(t, child.Wait())
	require.Equal(t, Value{}, reader.openFiles(folder+"/fd"), "it has ended")
	require.Equal(t, Value{}, reader.threads(folder+"/task"))
}

func TestReaderLeavesNoDescriptorsOpen(t *testing.T) {
	reader := NewReader("")
	own := "/proc/self/fd"
	before := reader.openFiles(own)
	for range 10 {
		reader.Read()
		reader.ReadInUse()
	}
	require.Equal(t, before.N+2, reader.openFiles(own).N, "what is read again and again")
	reader.Close()
	require.Equal(t, before, reader.openFiles(own))
	require.True(t, reader.Read().CPU.Known, "it can be used again")
	reader.Close()
	// It would be noticed.
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	require.Greater(t, reader.openFiles(own).N, before.N)
}

func BenchmarkRead(b *testing.B) {
	reader := NewReader("")
	b.ReportAllocs()
	for b.Loop() {
		reader.Read()
	}
}

// BenchmarkReadInUse looks at all processes there are, and says how many those are.
func BenchmarkReadInUse(b *testing.B) {
	reader := NewReader("")
	for _, bm := range []struct {
		name   string
		kernel bool
	}{{"shortcuts", true}, {"counting", false}} {
		b.Run(bm.name, func(b *testing.B) {
			reader.kernel = bm.kernel
			b.ReportAllocs()
			for b.Loop() {
				reader.ReadInUse()
			}
			b.ReportMetric(float64(strings.Count(string(reader.pids), "/")), "processes")
		})
	}
}

// BenchmarkReadTwentyProcesses is of the size that a function with many extensions has.
func BenchmarkReadTwentyProcesses(b *testing.B) {
	reader := NewReader("")
	for range 20 {
		child := exec.Command("cat")
		stdin, err := child.StdinPipe()
		require.NoError(b, err)
		require.NoError(b, child.Start())
		b.Cleanup(func() { require.NoError(b, stdin.Close()); require.NoError(b, child.Wait()) })
		reader.pids = append(reader.pids, strconv.Itoa(child.Process.Pid)+"/"...)
	}
	pids := reader.pids
	for _, bm := range []struct {
		name   string
		kernel bool
	}{{"shortcuts", true}, {"counting", false}} {
		b.Run(bm.name, func(b *testing.B) {
			reader.kernel = bm.kernel
			b.ReportAllocs()
			for b.Loop() {
				var sum InUse
				reader.processes(pids, &sum)
			}
		})
	}
}
