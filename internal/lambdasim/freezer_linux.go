// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package lambdasim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupFreezer is a cgroup of its own with a freezer, of version 2 or 1.
type cgroupFreezer struct {
	dir    string
	home   string // the cgroup we are in ourselves, version 1
	fd     int    // of dir, version 2
	v2     bool
	thawer *thawer
}

// newCgroupFreezer prefers version 2, whose frozen processes can be killed.
func newCgroupFreezer(sp *spawner) (freezer, error) {
	mounts, err := cgroupDirs()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCgroup, err)
	}
	var errs []error
	for _, version := range []struct {
		home string
		v2   bool
	}{{mounts.v2, true}, {mounts.v1, false}} {
		if version.home == "" {
			continue
		}
		f, err := makeCgroupFreezer(version.home, version.v2, sp)
		if err == nil {
			return f, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errNoCgroup
	}
	return nil, fmt.Errorf("%w: %w", errNoCgroup, errors.Join(errs...))
}

func makeCgroupFreezer(home string, v2 bool, sp *spawner) (*cgroupFreezer, error) {
	dir, err := os.MkdirTemp(home, "lambdasim-")
	if err != nil {
		return nil, err
	}
	f := &cgroupFreezer{dir: dir, home: home, fd: -1, v2: v2}
	if err := f.open(sp); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *cgroupFreezer) open(sp *spawner) error {
	file, _, thawed := f.state()
	if err := unix.Access(filepath.Join(f.dir, file), unix.W_OK); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(f.dir, file), err)
	}
	if f.v2 {
		fd, err := unix.Open(f.dir, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f.fd = fd
	}
	// A start that can only fail after the process has been put into the cgroup tells whether that is allowed.
	probe := &syscall.SysProcAttr{}
	err := sp.do(func() error {
		return f.start(probe, func() error {
			_, err := syscall.ForkExec(filepath.Join(f.dir, "no-such-program"), nil, &syscall.ProcAttr{Sys: probe})
			if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("cannot start processes in %s: %w", f.dir, err)
	}
	f.thawer, err = newThawer(sp, f.dir, filepath.Join(f.dir, file), thawed)
	return err
}

// state returns the file that freezes and what to write into it.
func (f *cgroupFreezer) state() (file, frozen, thawed string) {
	if f.v2 {
		return "cgroup.freeze", "1", "0"
	}
	return "freezer.state", "FROZEN", "THAWED"
}

func (f *cgroupFreezer) name() string {
	if f.v2 {
		return freezeCgroupV2
	}
	return freezeCgroupV1
}

func (f *cgroupFreezer) start(attr *syscall.SysProcAttr, start func() error) error {
	if f.v2 {
		attr.UseCgroupFD, attr.CgroupFD = true, f.fd
		return start()
	}
	// Version 1 has no way to start a process in a cgroup, but a child begins in that of the thread that forks.
	if err := f.moveThread(f.dir); err != nil {
		return err
	}
	return errors.Join(start(), f.moveThread(f.home))
}

func (f *cgroupFreezer) moveThread(dir string) error {
	return os.WriteFile(filepath.Join(dir, "tasks"), []byte(strconv.Itoa(unix.Gettid())), 0)
}

func (f *cgroupFreezer) freeze() error {
	file, frozen, _ := f.state()
	if err := f.write(file, frozen); err != nil {
		return err
	}
	deadline := time.Now().Add(freezeTimeout)
	for {
		done, err := f.isFrozen()
		if done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not freeze within %s", f.dir, freezeTimeout)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (f *cgroupFreezer) isFrozen() (bool, error) {
	if !f.v2 {
		state, err := os.ReadFile(filepath.Join(f.dir, "freezer.state"))
		return string(bytes.TrimSpace(state)) == "FROZEN", err
	}
	events, err := os.ReadFile(filepath.Join(f.dir, "cgroup.events"))
	return bytes.Contains(events, []byte("frozen 1")), err
}

func (f *cgroupFreezer) thaw() error {
	file, _, thawed := f.state()
	return f.write(file, thawed)
}

func (f *cgroupFreezer) write(file, value string) error {
	return os.WriteFile(filepath.Join(f.dir, file), []byte(value), 0)
}

func (f *cgroupFreezer) kill() (found bool) {
	for _, pid := range f.members() {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			found = true
		}
	}
	return found
}

// members are the processes in the cgroup that have not ended.
func (f *cgroupFreezer) members() []int {
	data, err := os.ReadFile(filepath.Join(f.dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil || pid <= 0 {
			continue
		}
		if s, ok := readStat(pid); ok && !s.ended() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// close removes the cgroup, which works once everything in it has been reaped, orphans by init.
func (f *cgroupFreezer) close() error {
	if f.fd >= 0 {
		_ = unix.Close(f.fd)
		f.fd = -1
	}
	if f.thawer != nil {
		f.thawer.close()
		f.thawer = nil
	}
	deadline := time.Now().Add(freezeTimeout)
	for {
		err := unix.Rmdir(f.dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot remove %s: %w", f.dir, err)
		}
		f.kill()
		time.Sleep(time.Millisecond)
	}
}

// cgroupPaths are the cgroups we are in ourselves, as directories; empty where there is none.
type cgroupPaths struct{ v1, v2 string }

func cgroupDirs() (cgroupPaths, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroupPaths{}, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroupPaths{}, err
	}
	return parseCgroups(string(mountinfo), string(own)), nil
}

// parseCgroups reads /proc/self/mountinfo and /proc/self/cgroup.
func parseCgroups(mountinfo, own string) cgroupPaths {
	var pathV1, pathV2 string
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) != 3:
		case fields[0] == "0" && fields[1] == "":
			pathV2 = fields[2]
		case hasOption(fields[1], "freezer"):
			pathV1 = fields[2]
		}
	}
	var paths cgroupPaths
	scanner := bufio.NewScanner(strings.NewReader(mountinfo))
	for scanner.Scan() {
		left, right, ok := strings.Cut(scanner.Text(), " - ")
		fields, info := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(info) < 3 {
			continue
		}
		root, mount := fields[3], fields[4]
		switch {
		case info[0] == "cgroup2" && pathV2 != "" && paths.v2 == "":
			paths.v2 = cgroupDir(mount, root, pathV2)
		case info[0] == "cgroup" && hasOption(info[2], "freezer") && pathV1 != "" && paths.v1 == "":
			paths.v1 = cgroupDir(mount, root, pathV1)
		}
	}
	return paths
}

func hasOption(list, option string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// cgroupDir finds path below a mount that shows only what is below root, as in containers.
func cgroupDir(mount, root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return mount
	}
	return filepath.Join(mount, rel)
}

// thawer is a shell that waits for the end of this process. If we are killed while the cgroup is frozen, nobody else
// would ever thaw it, and in version 1 not even the kill signal gets through to frozen processes.
type thawer struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// thawScript is told "ok" when all is well. $1 is the cgroup, $2 the file that thaws and $3 what to write into it.
const thawScript = `read line && exit 0
for pid in $(cat "$1/cgroup.procs"); do kill -9 "$pid"; done
echo "$3" > "$2"
for try in 1 2 3 4 5 6 7 8 9 10; do rmdir "$1" && exit 0; sleep 0.1; done`

func newThawer(sp *spawner, dir, file, thawed string) (*thawer, error) {
	cmd := &exec.Cmd{
		Path:        "/bin/sh",
		Args:        []string{"sh", "-c", thawScript, "sh", dir, file, thawed},
		Env:         []string{"PATH=" + os.Getenv("PATH")},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := sp.do(cmd.Start); err != nil {
		return nil, fmt.Errorf("cannot start the watcher of %s: %w", dir, err)
	}
	return &thawer{cmd: cmd, stdin: stdin}, nil
}

func (t *thawer) close() {
	_, _ = io.WriteString(t.stdin, "ok\n")
	_ = t.stdin.Close()
	_ = t.cmd.Wait()
}
