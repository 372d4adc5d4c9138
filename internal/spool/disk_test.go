// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package spool

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// envInside is set in the process that a test of this file has made of itself.
const envInside = "SPOOL_TEST_INSIDE"

// inside runs the test again in a process of its own, where it may do what concerns the whole process, and returns
// false in the one that it began in.
func inside(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(envInside) != "" {
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skip("there are no namespaces for users here: ", err)
	}
	require.NoError(t, err, "%s", out)
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("%s", out)
	}
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// ownMounts lets anybody mount a file system that nobody else sees.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// tmpfs is a small disk.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, options); err != nil {
		t.Skip("nothing can be mounted here: ", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	return disk
}

func TestDiskFull(t *testing.T) {
	if !inside(t, ownMounts()) {
		return
	}
	disk := tmpfs(t, "size=256k")
	dir := filepath.Join(disk, "spool")
	s := open(t, dir, 350<<10)
	put(t, s, record(t, 1, 100<<10))
	before := s.Bytes()

	// The spool would drop the first record for this one, but not before that is written.
	for range 3 {
		skipped, err := s.Put(record(t, 2, 300<<10))
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Empty(t, skipped)
		require.Equal(t, []string{fileName(0, suffix)}, files(t, dir), "no half file")
		require.Equal(t, before, s.Bytes())
	}
	// A smaller one has room, because nothing of the larger is left.
	put(t, s, record(t, 3, 100<<10))

	// The function takes the rest. Records can still be read and deleted.
	require.ErrorIs(t, os.WriteFile(filepath.Join(disk, "function"), make([]byte, 1<<20), 0o600), syscall.ENOSPC)
	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, s.Close())
	s = open(t, dir, 350<<10)
	for _, items := range []int{1, 3} {
		e := take(t, s, "traces/a")
		require.Equal(t, items, e.Items)
		require.NoError(t, e.Delete())
	}
	put(t, s, testRecord())
}

// TestNoInodes fails where the file is made, not where it is written.
func TestNoInodes(t *testing.T) {
	if !inside(t, ownMounts()) {
		return
	}
	s := open(t, filepath.Join(tmpfs(t, "nr_inodes=3"), "spool"), testMaxBytes)
	put(t, s, testRecord())
	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, take(t, s, "traces/a").Delete())
	put(t, s, testRecord())
}

func TestReadOnlyDisk(t *testing.T) {
	if !inside(t, ownMounts()) {
		return
	}
	disk := tmpfs(t, "size=256k")
	dir := filepath.Join(disk, "spool")
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())
	require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))

	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, syscall.EROFS)
	e := take(t, s, "traces/a")
	require.ErrorIs(t, e.Delete(), syscall.EROFS)
	requireNone(t, s, "traces/a") // what cannot be deleted is not sent twice
	require.NoError(t, s.Close())

	for _, dir := range []string{dir, filepath.Join(disk, "new"), filepath.Join(disk, "new", "spool")} {
		_, _, err = Open(Options{Dir: dir, MaxBytes: testMaxBytes})
		require.ErrorIs(t, err, syscall.EROFS)
	}
	require.Equal(t, []string{"spool"}, files(t, disk))
}

// TestFileSizeLimit has a write fail half-way without any privileges.
func TestFileSizeLimit(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = 64 << 10
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))

	_, err := s.Put(record(t, 1, 100<<10))
	require.ErrorIs(t, err, syscall.EFBIG)
	require.Empty(t, files(t, dir))
	require.Zero(t, s.Bytes())
	put(t, s, record(t, 2, 64<<10))
}

// TestNoDescriptors leaves a record to the next process that cannot be opened for want of file descriptors, which are
// the function's too.
func TestNoDescriptors(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 0
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	e, skipped := s.Take("traces/a")
	_, err := s.Put(testRecord())
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))

	require.Nil(t, e)
	require.Len(t, skipped, 1)
	require.ErrorIs(t, skipped[0].Reason, syscall.EMFILE)
	require.False(t, skipped[0].Removed)
	require.ErrorIs(t, err, syscall.EMFILE)
	require.NoError(t, s.Close())
	require.Equal(t, testRecord(), take(t, open(t, dir, testMaxBytes), "traces/a").Record)
}

// TestNoPermission is what root cannot see.
func TestNoPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir, _ := spooled(t)
	require.NoError(t, os.Chmod(dir, 0o500))
	_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, syscall.EACCES)
	require.NoError(t, os.Chmod(dir, 0o700))
}
