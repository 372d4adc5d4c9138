// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin

package spool

import (
	"errors"
	"io/fs"
	"os"
)

const nonblock = 0

// tryLock makes Open fail where the kernel would not release the lock of a process that dies.
func tryLock(*os.File) error { return errors.ErrUnsupported }

func unlock(*os.File) error { return nil }

func owned(fs.FileInfo) bool { return true }

func writable(string) error { return nil }
