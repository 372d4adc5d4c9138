// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package decoupleprocessor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// wakeAfter has the process be awake after so long, unless it is stopped before; woken is closed then. The guard lets the
// kernel delay what waits for a time by milliseconds, see its timerSlack. That does not hold for a timer that is a
// file: Go is woken because it can be read, and finds its own timers due. Without one they are late.
func wakeAfter(wait time.Duration) (woken <-chan struct{}, stop func()) {
	ended := make(chan struct{})
	timer, err := timerFile(wait)
	if err != nil {
		close(ended)
		return ended, func() {}
	}
	go func() {
		defer close(ended)
		var expirations [8]byte
		_, _ = timer.Read(expirations[:]) // until then, or until it is closed
	}()
	return ended, func() {
		_ = timer.Close()
		<-ended
	}
}

func timerFile(wait time.Duration) (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	timer := os.NewFile(uintptr(fd), "timer")
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(wait.Nanoseconds())}, nil); err != nil {
		_ = timer.Close()
		return nil, err
	}
	return timer, nil
}
