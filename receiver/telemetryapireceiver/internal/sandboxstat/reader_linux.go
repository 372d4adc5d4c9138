// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package sandboxstat

import (
	"bytes"
	"encoding/binary"
	"syscall"
)

const (
	// nanosPerTick is the unit of /proc/stat. Linux shows processes 100 ticks per second, whatever it uses itself.
	nanosPerTick = 10_000_000

	// maxProcesses bounds the work of ReadInUse. Lambda allows 1,024 processes and threads; a function has three or
	// four processes as a rule.
	maxProcesses = 256

	// procMagic is the type of the file system /proc.
	procMagic = 0x9fa0

	// bufferSize is for /proc/net/dev with some 50 interfaces, of which Lambda has four.
	bufferSize = 8 << 10

	// cpuLineSize is more than the first line of /proc/stat has, which is all that is read of it.
	cpuLineSize = 256
)

// The interfaces that do not count: inside the environment, and the one on which Lambda takes what is logged.
const (
	loopback        = "lo"
	telemetryPrefix = "telemetry"
)

// Reader reads the numbers. It is for one goroutine at a time.
type Reader struct {
	root string
	// kernel says that root has a real /proc, some of whose folders tell how much is in them without being listed.
	kernel bool
	buffer []byte
	// pids is for names of processes while the buffer is in use for what they hold.
	pids []byte
	// open are the descriptors of files that are read again and again: opening one takes as long as reading it.
	open map[string]int
}

// NewReader returns a Reader for the system whose files are below root, which is empty but for tests.
func NewReader(root string) *Reader {
	var fs syscall.Statfs_t
	err := syscall.Statfs(root+"/proc", &fs)
	return &Reader{root: root, kernel: err == nil && fs.Type == procMagic, buffer: make([]byte, bufferSize), open: map[string]int{}}
}

// Close closes the files that Read keeps open.
func (r *Reader) Close() {
	for name, fd := range r.open {
		_ = syscall.Close(fd)
		delete(r.open, name)
	}
}

// Read takes a sample. It keeps two files open, and takes 10 to 30 µs.
func (r *Reader) Read() Sample {
	return Sample{
		CPU:     parseCPU(r.file("/proc/stat", cpuLineSize)),
		Network: r.network(),
	}
}

func (r *Reader) network() Value {
	dev := r.file("/proc/net/dev", len(r.buffer))
	if len(dev) == len(r.buffer) {
		// The rest of it is missing.
		return Value{}
	}
	return parseNetwork(dev)
}

// ReadInUse finds out what is in use. It looks at each process, which takes a few µs for each one. A process that may not be
// looked at, or has gone in the meantime, does not count; when all are like that, or there are more than maxProcesses,
// nothing is known of them.
func (r *Reader) ReadInUse() InUse {
	in := InUse{Tmp: r.tmp()}
	if r.list() {
		r.processes(r.pids, &in)
	}
	return in
}

func (r *Reader) processes(names []byte, sum *InUse) {
	for len(names) > 0 {
		var name []byte
		name, names, _ = bytes.Cut(names, []byte{'/'})
		process := r.root + "/proc/" + string(name)
		add(&sum.OpenFiles, r.openFiles(process+"/fd"))
		add(&sum.Threads, r.threads(process+"/task"))
	}
}

func add(sum *Value, n Value) {
	if n.Known {
		sum.N += n.N
		sum.Known = true
	}
}

// list fills pids with the names of the processes, each with a slash behind it. It is false when they cannot be
// listed, or are too many.
func (r *Reader) list() bool {
	r.pids = r.pids[:0]
	processes := 0
	ok := r.entries(r.root+"/proc", func(name []byte) {
		if isNumber(name) && processes <= maxProcesses {
			processes++
			r.pids = append(append(r.pids, name...), '/')
		}
	})
	return ok && processes <= maxProcesses
}

// openFiles counts what is in a process's folder of descriptors. Linux has the number as its size, from 6.2 on.
func (r *Reader) openFiles(folder string) Value {
	if r.kernel {
		var info syscall.Stat_t
		if syscall.Stat(folder, &info) == nil && info.Size > 0 {
			return Value{N: uint64(info.Size), Known: true}
		}
	}
	return r.count(folder)
}

// threads counts what is in a process's folder of threads, each of which is a folder that links back to it.
func (r *Reader) threads(folder string) Value {
	if r.kernel {
		var info syscall.Stat_t
		if syscall.Stat(folder, &info) == nil && info.Nlink > 2 {
			return Value{N: uint64(info.Nlink) - 2, Known: true} //nolint:unconvert // another type on arm64
		}
	}
	return r.count(folder)
}

func (r *Reader) count(folder string) Value {
	var n uint64
	ok := r.entries(folder, func(name []byte) {
		if isNumber(name) {
			n++
		}
	})
	return Value{N: n, Known: ok}
}

// entries calls f with the names in a folder.
func (r *Reader) entries(folder string, f func(name []byte)) bool {
	fd, err := open(folder, syscall.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	for {
		n, err := ignoringEINTR(func() (int, error) { return syscall.ReadDirent(fd, r.buffer) })
		if n <= 0 || err != nil {
			return err == nil
		}
		for b := r.buffer[:n]; len(b) > direntName; {
			length := int(binary.NativeEndian.Uint16(b[direntLength:]))
			if length <= direntName || length > len(b) {
				return false
			}
			name, _, _ := bytes.Cut(b[direntName:length], []byte{0})
			f(name)
			b = b[length:]
		}
	}
}

// Where the fields of linux_dirent64 begin that matter here.
const (
	direntLength = 16
	direntName   = 19
)

// file returns the first bytes of a file, at most limit, valid until the next one is read. It is empty when there is
// none. The file stays open.
func (r *Reader) file(name string, limit int) []byte {
	fd, ok := r.open[name]
	if !ok {
		var err error
		if fd, err = open(r.root+name, 0); err != nil {
			return nil
		}
		r.open[name] = fd
	}
	length := 0
	for length < limit {
		n, err := ignoringEINTR(func() (int, error) { return syscall.Pread(fd, r.buffer[length:limit], int64(length)) })
		if err != nil {
			return nil
		}
		if n <= 0 {
			break
		}
		length += n
	}
	return r.buffer[:length]
}

// open is syscall's: package os would have the descriptor watched by the runtime's poller.
func open(name string, flags int) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
	})
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR { //nolint:errorlint // system calls return it as it is
			return n, err
		}
	}
}

func (r *Reader) tmp() Value {
	var fs syscall.Statfs_t
	if syscall.Statfs(r.root+"/tmp", &fs) != nil || fs.Blocks < fs.Bfree || fs.Frsize < 0 {
		return Value{}
	}
	return Value{N: (fs.Blocks - fs.Bfree) * uint64(fs.Frsize), Known: true}
}

// parseCPU reads the first line of /proc/stat: `cpu`, then the ticks spent in user mode, in user mode at low priority,
// and in the kernel; more follows.
func parseCPU(stat []byte) Value {
	line, _, complete := bytes.Cut(stat, []byte{'\n'})
	fields, ok := bytes.CutPrefix(line, []byte("cpu "))
	if !complete || !ok {
		return Value{}
	}
	var ticks uint64
	for range 3 {
		var n uint64
		if n, fields, ok = nextNumber(fields); !ok {
			return Value{}
		}
		ticks += n
	}
	return Value{N: ticks * nanosPerTick, Known: true}
}

// parseNetwork reads /proc/net/dev: two lines of titles, then one for each interface: its name with a colon, and
// numbers, of which the first is bytes received and the ninth bytes sent.
func parseNetwork(dev []byte) Value {
	var sum Value
	for line := range bytes.Lines(dev) {
		name, fields, ok := bytes.Cut(line, []byte{':'})
		name = bytes.TrimSpace(name)
		if !ok || string(name) == loopback || bytes.HasPrefix(name, []byte(telemetryPrefix)) {
			continue
		}
		for i := range 9 {
			var n uint64
			if n, fields, ok = nextNumber(fields); !ok {
				return Value{}
			}
			if i == 0 || i == 8 {
				sum.N += n
			}
		}
		sum.Known = true
	}
	return sum
}

// nextNumber reads a number behind spaces.
func nextNumber(b []byte) (n uint64, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " ")
	i := 0
	for ; i < len(b) && isDigit(b[i]); i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	return n, b[i:], i > 0
}

func isNumber(name []byte) bool {
	for _, c := range name {
		if !isDigit(c) {
			return false
		}
	}
	return len(name) > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
