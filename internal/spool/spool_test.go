// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	records := []Record{
		testRecord(),
		{Signal: "logs", Pipeline: "logs", Items: 1, Payload: payload(1000), Created: testTime.Add(time.Second)},
		{Signal: "traces", Pipeline: "traces/a", Items: 5, Payload: payload(100_000), Created: testTime.Add(time.Minute)},
	}
	var size int64
	for _, r := range records {
		put(t, s, r)
		size += int64(fixedHeader + len(r.Pipeline) + len(r.Payload))
	}
	require.Equal(t, size, s.Bytes())
	require.NoError(t, s.Close())

	s = open(t, dir, testMaxBytes)
	require.Equal(t, size, s.Bytes())
	require.Equal(t, []string{"logs", "traces/a"}, s.Pipelines())
	requireNone(t, s, "traces")

	first, second := take(t, s, "traces/a"), take(t, s, "traces/a")
	requireNone(t, s, "traces/a")
	require.Equal(t, []string{"logs"}, s.Pipelines())
	third := take(t, s, "logs")
	require.Equal(t, []Record{records[0], records[2], records[1]}, []Record{first.Record, second.Record, third.Record})
	for _, e := range []*Entry{first, second, third} {
		require.NoError(t, e.Delete())
	}
	require.Zero(t, s.Bytes())
	require.Empty(t, files(t, dir))
	require.NoError(t, s.Close())

	requireNone(t, open(t, dir, testMaxBytes), "traces/a")
}

func TestPutSetsTime(t *testing.T) {
	t.Parallel()
	s := open(t, spoolDir(t), testMaxBytes)
	r := testRecord()
	r.Created = time.Time{}
	put(t, s, r)
	require.Equal(t, testTime, take(t, s, r.Pipeline).Created)
}

func TestOpenOptions(t *testing.T) {
	t.Parallel()
	_, _, err := Open(Options{MaxBytes: 1})
	require.ErrorIs(t, err, errDir)
	_, _, err = Open(Options{Dir: spoolDir(t)})
	require.ErrorIs(t, err, errMaxBytes)

	s, _, err := Open(Options{Dir: spoolDir(t), MaxBytes: testMaxBytes})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), s.opts.Now(), time.Minute)
	require.NoError(t, s.Close())
}

// TestUndelivered tells that only an acknowledgement deletes a record.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())

	for range 3 {
		e := take(t, s, "traces/a")
		requireNone(t, s, "traces/a")
		require.NoError(t, e.Release())
		require.NoError(t, e.Release(), "once is enough")
	}
	take(t, s, "traces/a")
	require.NoError(t, s.Close())

	e := take(t, open(t, dir, testMaxBytes), "traces/a")
	require.Equal(t, testRecord(), e.Record)
	require.NoError(t, e.Delete())
	require.NoError(t, e.Delete(), "once is enough")
	require.NoError(t, e.Release(), "nothing is left to release")
	require.Empty(t, files(t, dir))
}

func TestClosed(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())
	put(t, s, testRecord())
	first, second := take(t, s, "traces/a"), take(t, s, "traces/a")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())

	require.ErrorIs(t, first.Delete(), os.ErrClosed)
	require.ErrorIs(t, second.Release(), os.ErrClosed)
	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, os.ErrClosed)
	requireNone(t, s, "traces/a")
	require.Empty(t, s.Pipelines())
	require.Zero(t, s.Bytes())
	require.Len(t, files(t, dir), 2)
}

// TestOrder lets the clock step back, within a process and from one to the next.
func TestOrder(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	now := testTime
	items := 0
	for range 3 {
		s, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes, Now: func() time.Time { return now }})
		require.NoError(t, err)
		for range 4 {
			items++
			put(t, s, Record{Signal: "logs", Pipeline: "logs", Items: items, Payload: []byte("x")})
			now = now.Add(-time.Hour)
		}
		require.NoError(t, s.Close())
	}
	s := open(t, dir, testMaxBytes)
	for want := range items {
		require.Equal(t, want+1, take(t, s, "logs").Items)
	}
	requireNone(t, s, "logs")
}

func TestInvalidRecord(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	_, err := open(t, dir, testMaxBytes).Put(Record{Signal: "profiles", Pipeline: "profiles"})
	require.ErrorIs(t, err, errSignal)
	require.Empty(t, files(t, dir))
}

func TestBoundInBytes(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, 1000)
	put(t, s, record(t, 1, 400))
	put(t, s, record(t, 2, 500))
	put(t, s, record(t, 3, 100))
	require.EqualValues(t, 1000, s.Bytes())

	skipped, err := s.Put(record(t, 4, 401))
	require.NoError(t, err)
	require.EqualValues(t, 501, s.Bytes())
	require.Equal(t, []Skipped{
		{Name: fileName(0, suffix), Size: 400, Record: meta(record(t, 1, 400)), Reason: ErrDropped, Removed: true},
		{Name: fileName(1, suffix), Size: 500, Record: meta(record(t, 2, 500)), Reason: ErrDropped, Removed: true},
	}, skipped)
	require.Equal(t, []string{fileName(2, suffix), fileName(3, suffix)}, files(t, dir))
}

func meta(r Record) Record {
	r.Payload = nil
	return r
}

// TestFull tells that nothing is dropped in vain, and nothing that is being sent.
func TestFull(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, 1000)
	put(t, s, record(t, 1, 500))
	put(t, s, record(t, 2, 500))
	refused := func(size int) {
		t.Helper()
		skipped, err := s.Put(record(t, 3, size))
		require.ErrorIs(t, err, ErrFull)
		require.Empty(t, skipped)
		require.Len(t, files(t, dir), 2)
	}
	refused(1001)
	held := take(t, s, "traces/a")
	refused(501)

	skipped, err := s.Put(record(t, 3, 500))
	require.NoError(t, err)
	require.Len(t, skipped, 1)
	require.Equal(t, 2, skipped[0].Record.Items)
	require.NoError(t, held.Release())

	skipped, err = s.Put(record(t, 4, 500))
	require.NoError(t, err)
	require.Len(t, skipped, 1)
	require.Equal(t, 1, skipped[0].Record.Items)
	require.EqualValues(t, 1000, s.Bytes())
}

func TestBoundInRecords(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	for i := range maxRecords {
		put(t, s, Record{Signal: "logs", Pipeline: "logs", Items: i})
	}
	skipped, err := s.Put(testRecord())
	require.NoError(t, err)
	require.Len(t, skipped, 1)
	require.Equal(t, 0, skipped[0].Record.Items)
	require.Len(t, files(t, dir), maxRecords)
}

// TestNarrowerBounds opens a spool that an earlier process was allowed to fill more.
func TestNarrowerBounds(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	for i, size := range []int{1001, 300, 400, 500} {
		put(t, s, record(t, i+1, size))
	}
	require.NoError(t, s.Close())

	s, skipped := reopened(t, dir, 1000)
	require.Equal(t, []Skipped{
		{Name: fileName(0, suffix), Size: 1001, Record: meta(record(t, 1, 1001)), Reason: ErrTooLarge, Removed: true},
		{Name: fileName(1, suffix), Size: 300, Record: meta(record(t, 2, 300)), Reason: ErrDropped, Removed: true},
	}, skipped)
	require.EqualValues(t, 900, s.Bytes())
	require.Len(t, files(t, dir), 2)
}

func TestTornFiles(t *testing.T) {
	t.Parallel()
	whole := encoded(t, testRecord())
	for n := range whole {
		dir, path := spooled(t)
		require.NoError(t, os.Truncate(path, int64(n)))
		s, skipped := reopened(t, dir, testMaxBytes)
		require.Len(t, skipped, 1, "%d bytes", n)
		require.ErrorIs(t, skipped[0].Reason, ErrCorrupt)
		require.True(t, skipped[0].Removed)
		require.EqualValues(t, n, skipped[0].Size)
		if n >= fixedHeader+len("traces/a") {
			require.Equal(t, meta(testRecord()), skipped[0].Record, "what is lost is known")
		}
		require.Zero(t, s.Bytes())
		requireNone(t, s, "traces/a")
		require.NoError(t, s.Close())
		open(t, dir, testMaxBytes) // reports it no more
	}
}

func TestBitFlips(t *testing.T) {
	t.Parallel()
	for i := range encoded(t, testRecord()) {
		dir, path := spooled(t)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		b[i] ^= 0x10
		require.NoError(t, os.WriteFile(path, b, 0o600))

		s, skipped := reopened(t, dir, testMaxBytes)
		if len(skipped) == 0 { // then it is in the payload, which Open does not read
			var e *Entry
			e, skipped = s.Take("traces/a")
			require.Nil(t, e)
		}
		require.Len(t, skipped, 1, "byte %d", i)
		require.ErrorIs(t, skipped[0].Reason, ErrCorrupt)
		require.True(t, skipped[0].Removed)
		require.Zero(t, s.Bytes())
		require.Empty(t, files(t, dir))
	}
}

// TestDamagedBetween tells that a record that cannot be read does not stand in the way of the next one.
func TestDamagedBetween(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, 1000)
	for i := range 5 {
		put(t, s, record(t, i, 100))
	}
	name := func(i int) string { return filepath.Join(dir, fileName(uint64(i), suffix)) }
	require.NoError(t, os.Truncate(name(0), 99))
	require.NoError(t, os.Remove(name(1)))
	require.NoError(t, os.Truncate(name(2), 1001))
	require.NoError(t, os.Remove(name(3)))
	require.NoError(t, os.Symlink(name(4), name(3)))

	e, skipped := s.Take("traces/a")
	require.NotNil(t, e)
	require.Equal(t, 4, e.Items)
	require.Len(t, skipped, 4)
	for i, want := range []error{ErrCorrupt, fs.ErrNotExist, ErrTooLarge, ErrForeign} {
		require.ErrorIs(t, skipped[i].Reason, want)
		require.Equal(t, !errors.Is(want, ErrForeign), skipped[i].Removed)
		require.Equal(t, i, skipped[i].Record.Items)
	}
	require.EqualValues(t, 100, s.Bytes())
	require.Equal(t, []string{fileName(3, suffix), fileName(4, suffix)}, files(t, dir))
}

// TestUnfinished finds what a process left behind that died while it wrote.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	whole := encoded(t, testRecord())
	for name, test := range map[string]struct {
		content []byte
		known   Record
	}{
		"empty":               {nil, Record{}},
		"part of the header":  {whole[:20], Record{}},
		"part of the payload": {whole[:len(whole)-3], meta(testRecord())},
		"whole":               {whole, meta(testRecord())},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := spooled(t)
			temp := fileName(7, tempSuffix)
			require.NoError(t, os.WriteFile(filepath.Join(dir, temp), test.content, 0o600))

			s, skipped := reopened(t, dir, testMaxBytes)
			require.Equal(t, []Skipped{{
				Name: temp, Size: int64(len(test.content)), Record: test.known, Reason: ErrUnfinished, Removed: true,
			}}, skipped)
			take(t, s, "traces/a")
			requireNone(t, s, "traces/a")
			require.Equal(t, []string{fileName(0, suffix)}, files(t, dir))
		})
	}
}

// TestForeign leaves alone what is not ours, and finds ours in between.
func TestForeign(t *testing.T) {
	t.Parallel()
	dir, path := spooled(t)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, content, 0o600))

	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{
		"cache.db", ".hidden", "1.otlp", "00000000000000000001.otlp~", "0000000000000000000a.otlp",
		"+0000000000000000001.otlp",
		fmt.Sprintf("%020d.otlp", uint64(maxSequence)+1), "99999999999999999999.tmp", "00000000000000000001",
	} {
		require.NoError(t, os.WriteFile(in(name), content, 0o600))
	}
	// These have our names.
	require.NoError(t, os.Mkdir(in(fileName(2, suffix)), 0o700))
	require.NoError(t, os.Symlink(secret, in(fileName(3, suffix))))
	require.NoError(t, os.Symlink(filepath.Base(path), in(fileName(4, suffix))))
	require.NoError(t, os.Symlink("nowhere", in(fileName(5, tempSuffix))))
	require.NoError(t, syscall.Mkfifo(in(fileName(6, suffix)), 0o600))
	before := files(t, dir)

	for range 2 {
		s, skipped := reopened(t, dir, testMaxBytes)
		names := make([]string, 0, len(skipped))
		for _, sk := range skipped {
			require.ErrorIs(t, sk.Reason, ErrForeign, sk.Name)
			require.False(t, sk.Removed)
			names = append(names, sk.Name)
		}
		require.ElementsMatch(t, before, append(names, filepath.Base(path)))
		require.EqualValues(t, len(content), s.Bytes())
		require.Equal(t, before, files(t, dir))

		// The numbers that are taken are not used again, those of things that are not ours included.
		put(t, s, testRecord())
		require.FileExists(t, in(fileName(7, suffix)))
		require.NoError(t, take(t, s, "traces/a").Release())
		require.NoError(t, os.Remove(in(fileName(7, suffix))))
		require.NoError(t, s.Close())
	}
	got, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
}

func TestCrowdedDirectory(t *testing.T) {
	t.Parallel()
	dir, _ := spooled(t)
	for i := range maxNames {
		require.NoError(t, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600))
	}
	_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, errCrowded)

	require.NoError(t, os.Remove(filepath.Join(dir, "0")))
	s, skipped := reopened(t, dir, testMaxBytes) // the failure has not kept the lock
	require.Len(t, skipped, maxNames-1)
	take(t, s, "traces/a")
}

// TestLastSequence refuses records rather than give one a number that is out of order.
func TestLastSequence(t *testing.T) {
	t.Parallel()
	dir, path := spooled(t)
	require.NoError(t, os.Rename(path, filepath.Join(dir, fileName(maxSequence, suffix))))
	s := open(t, dir, testMaxBytes)
	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, ErrFull)
	take(t, s, "traces/a")
}

// TestNameInTheWay puts something in the place of the file to be written.
func TestNameInTheWay(t *testing.T) {
	t.Parallel()
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	for name, test := range map[string]struct {
		obstruct func(dir string) error
		want     error // nil where it does not matter
	}{
		"link for the temporary file": {
			func(dir string) error { return os.Symlink(victim, filepath.Join(dir, fileName(0, tempSuffix))) }, fs.ErrExist,
		},
		"dangling link for the temporary file": {
			func(dir string) error { return os.Symlink("new", filepath.Join(dir, fileName(0, tempSuffix))) }, fs.ErrExist,
		},
		"hard link for the temporary file": {
			func(dir string) error { return os.Link(victim, filepath.Join(dir, fileName(0, tempSuffix))) }, fs.ErrExist,
		},
		"link for the file": {
			func(dir string) error { return os.Symlink(victim, filepath.Join(dir, fileName(0, suffix))) }, nil,
		},
		"directory for the file": {
			func(dir string) error { return os.Mkdir(filepath.Join(dir, fileName(0, suffix)), 0o700) }, fs.ErrExist,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := spoolDir(t)
			s := open(t, dir, testMaxBytes)
			require.NoError(t, test.obstruct(dir))
			before := files(t, dir)
			skipped, err := s.Put(testRecord())
			require.Empty(t, skipped)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, before, files(t, dir), "no half file")
			if test.want != nil {
				require.Zero(t, s.Bytes())
				put(t, s, testRecord()) // the next one has another name
			}
			require.Equal(t, testRecord(), take(t, s, "traces/a").Record)
			require.NoFileExists(t, filepath.Join(dir, "new"))
			content, err := os.ReadFile(victim)
			require.NoError(t, err)
			require.Equal(t, "precious", string(content))
		})
	}
}

// TestUndeletable has a directory in the place of a record that has to go.
func TestUndeletable(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, 1000)
	put(t, s, record(t, 1, 600))
	put(t, s, record(t, 2, 400))
	e := take(t, s, "traces/a")
	obstruct := func(sequence uint64) {
		t.Helper()
		name := filepath.Join(dir, fileName(sequence, suffix))
		require.NoError(t, os.Remove(name))
		require.NoError(t, os.MkdirAll(filepath.Join(name, "x"), 0o700))
	}
	obstruct(0)
	require.Error(t, e.Delete())
	require.EqualValues(t, 1000, s.Bytes())
	require.Equal(t, []string{"traces/a"}, s.Pipelines(), "the one that is delivered will not be sent again")

	obstruct(1)
	skipped, err := s.Put(record(t, 3, 100))
	require.Error(t, err)
	require.Empty(t, skipped)
	require.Equal(t, []string{fileName(0, suffix), fileName(1, suffix)}, files(t, dir), "no half file")
	requireNoRecord(t, s)
}

func requireNoRecord(t *testing.T, s *Spool) {
	t.Helper()
	e, skipped := s.Take("traces/a")
	require.Nil(t, e)
	require.Len(t, skipped, 1)
	require.ErrorIs(t, skipped[0].Reason, ErrForeign)
}

// TestEmptiedTmp does what many functions do at their beginning.
func TestEmptiedTmp(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	for i := range 3 {
		put(t, s, record(t, i, 100))
	}
	acknowledged, failed := take(t, s, "traces/a"), take(t, s, "traces/a")
	require.NoError(t, os.RemoveAll(filepath.Dir(dir)))

	skipped, err := s.Put(record(t, 3, 100))
	require.NoError(t, err)
	require.Len(t, skipped, 1, "the other two are in memory")
	require.ErrorIs(t, skipped[0].Reason, fs.ErrNotExist)
	require.Equal(t, 2, skipped[0].Record.Items)
	require.EqualValues(t, 100, s.Bytes())

	require.NoError(t, acknowledged.Delete())
	require.ErrorIs(t, failed.Release(), fs.ErrNotExist)
	require.EqualValues(t, 100, s.Bytes(), "what came afterwards is not touched")
	_, _, err = Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	require.Equal(t, 3, take(t, open(t, dir, testMaxBytes), "traces/a").Items)
}

// TestEmptiedSpool keeps the directory.
func TestEmptiedSpool(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	put(t, s, testRecord())
	put(t, s, testRecord())
	first, second := take(t, s, "traces/a"), take(t, s, "traces/a")
	for _, name := range files(t, dir) {
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	require.NoError(t, first.Delete())
	require.ErrorIs(t, second.Release(), fs.ErrNotExist)
	require.Zero(t, s.Bytes())
	put(t, s, testRecord())
}

// TestLostDirectory gives up where another process has made the directory anew.
func TestLostDirectory(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	require.NoError(t, os.Remove(dir))
	other := open(t, dir, testMaxBytes)
	_, err := s.Put(testRecord())
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, other.Close())
	put(t, s, testRecord())
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir, path := spooled(t)
	for name, want := range map[string]fs.FileMode{
		filepath.Dir(dir): fs.ModeDir | 0o700,
		dir:               fs.ModeDir | 0o700,
		path:              0o600,
	} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode(), name)
	}
}

func TestUnsafeDirectory(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make func(t *testing.T, dir string) error
		want error
	}{
		"link to a directory": {func(t *testing.T, dir string) error { return os.Symlink(t.TempDir(), dir) }, errSymlink},
		"dangling link":       {func(_ *testing.T, dir string) error { return os.Symlink("nowhere", dir) }, errSymlink},
		"file":                {func(_ *testing.T, dir string) error { return os.WriteFile(dir, nil, 0o600) }, errNoDir},
		"pipe":                {func(_ *testing.T, dir string) error { return syscall.Mkfifo(dir, 0o600) }, errNoDir},
		"writable by others":  {func(_ *testing.T, dir string) error { return mkdir(dir, 0o702) }, errWritable},
		"writable by a group": {func(_ *testing.T, dir string) error { return mkdir(dir, 0o720) }, errWritable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			require.NoError(t, test.make(t, dir))
			_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
			require.ErrorIs(t, err, ErrUnsafe)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, dir)
			require.NoFileExists(t, filepath.Join(filepath.Dir(dir), "nowhere"))
		})
	}
}

// mkdir is not subject to the umask.
func mkdir(dir string, mode fs.FileMode) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// TestOtherOwner needs to be root to give something away.
func TestOtherOwner(t *testing.T) {
	t.Parallel()
	dir, path := spooled(t)
	if err := os.Lchown(path, 12345, -1); err != nil {
		t.Skip("files cannot be given to another user here: ", err)
	}
	s, skipped := reopened(t, dir, testMaxBytes)
	require.Len(t, skipped, 1)
	require.ErrorIs(t, skipped[0].Reason, ErrForeign)
	require.ErrorIs(t, skipped[0].Reason, errFileOwner)
	requireNone(t, s, "traces/a")
	require.NoError(t, s.Close())
	require.FileExists(t, path)

	require.NoError(t, os.Lchown(dir, 12345, -1))
	_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, ErrUnsafe)
	require.ErrorIs(t, err, errOwner)
}

// TestParentNotDirectory is what a file in the place of the parent directory does.
func TestParentNotDirectory(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(parent, nil, 0o600))
	_, _, err := Open(Options{Dir: filepath.Join(parent, "spool"), MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, syscall.ENOTDIR)
}

// TestSwappedDirectory replaces the directory between the look at it and its lock.
func TestSwappedDirectory(t *testing.T) {
	t.Parallel()
	dir, _ := spooled(t)
	seen, err := os.Lstat(t.TempDir())
	require.NoError(t, err)
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	d := &directory{root: root}
	require.ErrorIs(t, d.acquire(seen), errSwapped)
	require.NoError(t, d.close())
}

func TestLockWithinProcess(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	open(t, dir, testMaxBytes)
}

// TestCloseUnlocks closes the spool while a child process that was just forked has its descriptors, too.
func TestCloseUnlocks(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	s := open(t, dir, testMaxBytes)
	fd, err := syscall.Dup(int(s.dir.lock.Fd()))
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Close(fd)) }()
	require.NoError(t, s.Close())
	open(t, dir, testMaxBytes)
}

func TestLockOfKilledProcess(t *testing.T) {
	t.Parallel()
	dir, _ := spooled(t)
	temp := filepath.Join(dir, fileName(1, tempSuffix))
	p := start(t, roleHold, dir)
	require.NoError(t, os.WriteFile(temp, nil, 0o600)) // as if it were being written
	_, _, err := Open(Options{Dir: dir, MaxBytes: testMaxBytes})
	require.ErrorIs(t, err, ErrLocked)
	require.FileExists(t, temp)

	p.kill(t)
	s, skipped := reopened(t, dir, testMaxBytes)
	require.Len(t, skipped, 1)
	require.NoFileExists(t, temp)
	require.Equal(t, testRecord(), take(t, s, "traces/a").Record)
}

func TestLockOfEndedProcess(t *testing.T) {
	t.Parallel()
	dir := spoolDir(t)
	p := start(t, roleHold, dir)
	require.NoError(t, p.stdin.Close())
	require.NoError(t, p.cmd.Wait())
	open(t, dir, testMaxBytes)
}

// TestKilledWhileWriting finds every record that the killed process had been told was safe, in order and intact.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	for written := range 5 {
		dir := spoolDir(t)
		p := start(t, rolePut, dir)
		for range written * 10 {
			p.line(t)
		}
		safe := written*10 + len(p.kill(t))

		s, skipped := reopened(t, dir, testMaxBytes)
		require.LessOrEqual(t, len(skipped), 1)
		for _, sk := range skipped {
			require.ErrorIs(t, sk.Reason, ErrUnfinished)
		}
		got := 0
		for e, _ := s.Take("logs"); e != nil; e, _ = s.Take("logs") {
			got++
			require.Equal(t, got, e.Items)
			require.Equal(t, payload(64<<10), e.Payload)
			require.NoError(t, e.Delete())
		}
		// It may have been killed before it could say so of the last one.
		require.Contains(t, []int{safe, safe + 1}, got)
		require.Empty(t, files(t, dir))
	}
}

// TestConcurrentUse has several pipelines share a spool.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := open(t, spoolDir(t), testMaxBytes)
	var wg sync.WaitGroup
	const records = 50
	for _, signal := range []string{"traces", "metrics", "logs"} {
		wg.Go(func() {
			for i := range records {
				if _, err := s.Put(Record{Signal: signal, Pipeline: signal, Items: i + 1, Payload: payload(i)}); err != nil {
					t.Errorf("put: %s", err)
				}
			}
			for want := 1; want <= records; want++ {
				e, _ := s.Take(signal)
				if e == nil || e.Items != want {
					t.Errorf("got %v, want %d of %s", e, want, signal)
					return
				}
				if err := e.Delete(); err != nil {
					t.Errorf("delete: %s", err)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, s.Bytes())
}

// TestPutDoesNotCopy is sequential, because it looks at all allocations of the process.
func TestPutDoesNotCopy(t *testing.T) {
	const size = 8 << 20
	s := open(t, spoolDir(t), testMaxBytes)
	r := Record{Signal: "logs", Pipeline: "logs", Items: 1, Payload: payload(size)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := s.Put(r)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/8))
}
