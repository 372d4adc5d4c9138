// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package spool keeps undelivered telemetry in files, for the next process of the same Lambda environment to send.
//
// Lambda ends all processes of an environment when its function times out or crashes, and starts them anew for the next
// invocation; /tmp stays. It is the function's as well: it may be full, read-only or emptied at any time, and anybody
// may have put anything there. So nothing read here is trusted, everything is bounded, and what is found damaged is
// reported with its reason rather than passed over.
//
// # Guarantees
//
// A record is delivered at least once: its file is deleted after the acknowledgement, and a process that dies in
// between leaves it to the next one. Only one process at a time has a spool: it holds an flock(2) on the directory
// itself, which the kernel releases when the process dies. A lock file could be deleted, and made again by the next
// process, while somebody still holds it; a directory that is deleted takes the files that the lock is about along.
//
// Within the process a Spool may be shared by any number of goroutines, and has to be: another Open of the same
// directory gets ErrLocked. It does not start goroutines.
//
// The newest data wins. At the end of an environment nobody is left who could be told to send more slowly, and what the
// backend has not taken for the longest time is worth the least; so a full spool drops its oldest records, and reports
// them, as the queue in memory does while the backend takes nothing.
//
// # Files
//
// A record is one file, named by a sequence number of 20 decimal digits, which orders records although the clock may
// step back: 00000000000000000042.otlp. While it is being written, it is called 00000000000000000042.tmp; one that is
// found by Open was left behind by a process that died, and is removed. Other names are not ours: they are reported and
// left alone.
//
// Numbers are little-endian:
//
//	offset  size
//	     0     4  magic number: 'O' 'T' 'S' 'P'
//	     4     2  version: 1
//	     6     1  signal: 1 traces, 2 metrics, 3 logs
//	     7     1  zero
//	     8     8  when the record was created, in nanoseconds since 1970, signed
//	    16     8  length of the payload
//	    24     4  number of items in the payload, at most 2³¹ − 1
//	    28     2  length of the pipeline's name n, from 1 to 1,024
//	    30     2  zero
//	    32     4  CRC-32C of the payload
//	    36     4  CRC-32C of bytes 0 to 35 and of the pipeline's name
//	    40     n  name of the pipeline
//	  40+n        payload, to the end of the file
//
// The header has a checksum of its own, so that the spool knows what each file holds without reading all of it.
package spool
