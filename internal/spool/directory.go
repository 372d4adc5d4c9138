// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxNames bounds the names read from the directory. It has room for all our files and for some of somebody else's.
const maxNames = 4 * maxRecords

var (
	// ErrLocked says that another process, or another Spool of this one, has the directory.
	ErrLocked = errors.New("another process is using the spool")

	// ErrUnsafe says that the directory is not one that only we can write to.
	ErrUnsafe = errors.New("the directory of the spool is not to be trusted")

	// ErrForeign is the reason for what is not ours: it is left alone.
	ErrForeign = errors.New("the file is not one of the spool's")

	errCrowded = fmt.Errorf("the directory of the spool holds more than %d files", maxNames)
)

// directory is a directory that is locked until it is closed. Files are reached through its handle, so that nobody can
// put another directory in its place.
type directory struct {
	root *os.Root
	lock *os.File
}

// openDirectory makes the directory where it is missing. Its parents may belong to others: the worst they can do is
// to take the directory away, because what they could put in its place is not ours.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if err := trust(info); err != nil {
		return nil, fmt.Errorf("%w: %s %w", ErrUnsafe, path, err)
	}
	// Files that can be sent but not deleted would be sent again by every process.
	if err := writable(path); err != nil {
		return nil, &fs.PathError{Op: "access", Path: path, Err: err}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &directory{root: root}
	if err := d.acquire(info); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

var (
	errSymlink    = errors.New("is a symbolic link")
	errNoDir      = errors.New("is not a directory")
	errOwner      = errors.New("belongs to another user")
	errWritable   = errors.New("can be written to by other users")
	errSwapped    = errors.New("the directory of the spool was replaced while it was being opened")
	errNotRegular = errors.New("it is not a regular file")
	errFileOwner  = errors.New("it belongs to another user")
	errFileSwap   = errors.New("it was replaced while it was being opened")
)

func trust(dir fs.FileInfo) error {
	switch {
	case dir.Mode()&fs.ModeSymlink != 0:
		return errSymlink
	case !dir.IsDir():
		return errNoDir
	case !owned(dir):
		return errOwner
	case dir.Mode().Perm()&0o022 != 0:
		return errWritable
	}
	return nil
}

// acquire locks the directory and checks that it is the one that was looked at.
func (d *directory) acquire(want fs.FileInfo) error {
	lock, err := d.root.Open(".")
	if err != nil {
		return err
	}
	if err := tryLock(lock); err != nil {
		return errors.Join(err, lock.Close())
	}
	d.lock = lock
	info, err := lock.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(info, want) {
		return errSwapped
	}
	return nil
}

// close gives up the lock, and not only the descriptor: a child process has that, too, between fork and exec.
func (d *directory) close() error {
	var err error
	if d.lock != nil {
		err = errors.Join(unlock(d.lock), d.lock.Close())
	}
	return errors.Join(err, d.root.Close())
}

// names lists the directory. It works once.
func (d *directory) names() ([]string, error) {
	names, err := d.lock.Readdirnames(maxNames + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(names) > maxNames:
		// Not even the sequence numbers in use are known then.
		return nil, errCrowded
	}
	return names, nil
}

// open returns a file of ours and its size in bytes, and ErrForeign for anything else. It never follows a link, and
// never waits, which opening a named pipe would do.
func (d *directory) open(name string) (*os.File, int64, error) {
	want, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return nil, 0, err
	case !want.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%w: %w", ErrForeign, errNotRegular)
	case !owned(want):
		return nil, 0, fmt.Errorf("%w: %w", ErrForeign, errFileOwner)
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(want, info) {
		err = fmt.Errorf("%w: %w", ErrForeign, errFileSwap)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// write makes a file out of the parts, or none at all. There is no fsync, which takes tens of milliseconds that a
// process at its end does not have: the kernel keeps what was written when processes die, and a machine that dies ends
// the environment and its /tmp.
func (d *directory) write(name string, parts ...[]byte) error {
	// Exclusive, so that neither an existing file nor what a link points to is written to.
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err = f.Write(part); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.remove(name))
	}
	return nil
}

// remove deletes a file; one that is gone already is fine.
func (d *directory) remove(name string) error {
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
