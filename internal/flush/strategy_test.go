// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStrategy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Settings{
		"end":                   {Strategy: End},
		"END":                   {Strategy: End},
		"end,1000":              {Strategy: End, Interval: time.Second},
		"periodic":              {Strategy: Periodic},
		"Periodically":          {Strategy: Periodic},
		"periodically,10000":    {Strategy: Periodic, Interval: 10 * time.Second},
		"periodic,1":            {Strategy: Periodic, Interval: time.Millisecond},
		"continuous":            {Strategy: Continuous},
		"continuously,60000":    {Strategy: Continuous, Interval: time.Minute},
		"race":                  {Strategy: Continuous},
		"rAcE,4294967295":       {Strategy: Continuous, Interval: 4294967295 * time.Millisecond},
		"adaptive":              {Strategy: Adaptive},
		"default":               {Strategy: Adaptive},
		" Default , 20000 \r\n": {Strategy: Adaptive, Interval: 20 * time.Second},
	} {
		strategy, interval, err := ParseStrategy(text)
		require.NoError(t, err, text)
		require.Equal(t, want, Settings{Strategy: strategy, Interval: interval}, text)
	}
}

func TestParseStrategyErrors(t *testing.T) {
	t.Parallel()
	const (
		unknown = `unknown flush strategy %: it is one of adaptive (or default), periodic (or periodically), ` +
			`continuous (or race, continuously) and end`
		number = `the interval % of flush strategy periodic is not a number of milliseconds from 1 to 4294967295, ` +
			`as in "periodic,10000"`
	)
	for text, want := range map[string][2]string{
		"":                      {unknown, `""`},
		" , ":                   {unknown, `""`},
		"periodical":            {unknown, `"periodical"`},
		"often,10000":           {unknown, `"often"`},
		"10000":                 {unknown, `"10000"`},
		"end 10000":             {unknown, `"end 10000"`},
		"periodic,":             {number, `""`},
		"periodic,0":            {number, `"0"`},
		"periodically,-1":       {number, `"-1"`},
		"periodic,+1":           {number, `"+1"`},
		"periodic,1.5":          {number, `"1.5"`},
		"periodic,10s":          {number, `"10s"`},
		"periodic,1,2":          {number, `"1,2"`},
		"Periodic,4294967296":   {number, `"4294967296"`},
		"periodic,9e18":         {number, `"9e18"`},
		"periodic,0x10":         {number, `"0x10"`},
		"periodically,1\x00000": {number, `"1\x00000"`},
	} {
		strategy, interval, err := ParseStrategy(text)
		require.EqualError(t, err, strings.Replace(want[0], "%", want[1], 1), text)
		require.Zero(t, strategy, text)
		require.Zero(t, interval, text)
	}
}

func FuzzParseStrategy(f *testing.F) {
	for _, text := range []string{
		"", "end", "periodically,10000", "CONTINUOUSLY,1", "race", "default,99999999999", "adaptive,,", ",1", "ſ,1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		strategy, interval, err := ParseStrategy(text)
		if err != nil {
			require.Zero(t, strategy)
			require.Zero(t, interval)
			for _, name := range []Strategy{End, Periodic, Continuous, Adaptive} {
				if !strings.Contains(text, ",") {
					require.ErrorContains(t, err, string(name))
				}
			}
			return
		}
		require.Contains(t, []Strategy{End, Periodic, Continuous, Adaptive}, strategy)
		name, number, hasInterval := strings.Cut(text, ",")
		require.Equal(t, hasInterval, interval > 0)
		require.Zero(t, interval%time.Millisecond)

		// Case and space do not matter, and a strategy is its own name.
		again, same, err := ParseStrategy("\t" + strings.ToUpper(name) + " ," + number + " ")
		if hasInterval {
			require.NoError(t, err)
			require.Equal(t, []any{strategy, interval}, []any{again, same})
		}
		again, same, err = ParseStrategy(string(strategy))
		require.NoError(t, err)
		require.Equal(t, []any{strategy, time.Duration(0)}, []any{again, same})
	})
}
