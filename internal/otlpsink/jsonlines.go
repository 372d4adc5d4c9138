// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ReadJSONLines reads OTLP JSON, one request of any signal per line, as the Collector's file exporter writes it, and
// returns how often each identity occurs. A last line without an end is left out: it is still being written.
func ReadJSONLines(r io.Reader) (map[string]int, error) {
	counts := map[string]int{}
	lines := bufio.NewReader(r)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return counts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if err := countLine(counts, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func countLine(counts map[string]int, line []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(line, &keys); err != nil {
		return err
	}
	for key, signal := range map[string]Signal{
		"resourceSpans": SignalTraces, "resourceMetrics": SignalMetrics, "resourceLogs": SignalLogs,
	} {
		if _, ok := keys[key]; !ok {
			continue
		}
		p, err := decodePayload(signal, line, true)
		if err != nil {
			return err
		}
		p.countIdentities(counts)
		return nil
	}
	return errors.New("neither resourceSpans nor resourceMetrics nor resourceLogs in it")
}

func (p payload) countIdentities(counts map[string]int) {
	switch p.signal {
	case SignalTraces:
		countIdentities(counts, flattenTraces(p.traces, Item{}))
	case SignalMetrics:
		countIdentities(counts, flattenMetrics(p.metrics, Item{}))
	default:
		countIdentities(counts, flattenLogs(p.logs, Item{}))
	}
}
