// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package failopen takes what cannot work out of a collector's configuration, so that the rest can.
//
// A collector starts whole or not at all. In Lambda a port that some other extension holds would cost everything that
// could have come in another way.
package failopen

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/confmap"
)

// AddressInUse returns the address that a component could not listen on because somebody else does, if that is what
// err is about.
func AddressInUse(err error) (net.Addr, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "listen" || op.Addr == nil || !errors.Is(op, syscall.EADDRINUSE) {
		return nil, false
	}
	return op.Addr, true
}

// defaultPorts are the ports of the OTLP receiver's protocols where the configuration names none.
var defaultPorts = map[string]string{"grpc": "4317", "http": "4318"}

// Ports are the ports that receivers have to do without. It is a confmap.Converter that takes them out of the
// configuration.
type Ports struct {
	mu    sync.Mutex
	taken map[string]bool
	gone  []string
}

var _ confmap.Converter = (*Ports)(nil)

// Take adds the port of an address. It reports whether that was news: taking a port out of the configuration a second
// time would not help.
func (p *Ports) Take(addr net.Addr) bool {
	_, port, err := net.SplitHostPort(addr.String())
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.taken[port] {
		return false
	}
	if p.taken == nil {
		p.taken = map[string]bool{}
	}
	p.taken[port] = true
	return true
}

// Gone returns the configuration keys that the last Convert took out, such as receivers::otlp::protocols::grpc.
func (p *Ports) Gone() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.gone)
}

// NewFactory returns a factory of converters that are all p.
func (p *Ports) NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return p })
}

// Convert implements confmap.Converter: it removes the receivers' protocols that would listen on a taken port, the
// receivers that have no protocol left, and the pipelines that have no receiver left.
func (p *Ports) Convert(_ context.Context, conf *confmap.Conf) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = nil
	if len(p.taken) == 0 {
		return nil
	}
	receivers, service := object(conf.Get("receivers")), object(conf.Get("service"))
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		key := "receivers::" + name
		receiver := object(receivers[name])
		if p.taken[portOf(receiver["endpoint"], "")] {
			p.gone = append(p.gone, key)
			delete(receivers, name)
			continue
		}
		protocols := object(receiver["protocols"])
		before := len(protocols)
		for _, protocol := range slices.Sorted(maps.Keys(protocols)) {
			if p.taken[portOf(object(protocols[protocol])["endpoint"], defaultPorts[protocol])] {
				p.gone = append(p.gone, key+"::protocols::"+protocol)
				delete(protocols, protocol)
			}
		}
		if before > 0 && len(protocols) == 0 {
			delete(receivers, name)
		}
	}
	if len(p.gone) == 0 {
		return nil
	}
	dropPipelines(object(service["pipelines"]), receivers, object(conf.Get("connectors")))
	return errors.Join(replace(conf, "receivers", receivers), replace(conf, "service", service))
}

// replace puts a new value in the place of one section. The other sections keep what a map does not show: the text that
// a value such as ${env:TOKEN} had, which is what a setting of type string wants even if it looks like a number.
func replace(conf *confmap.Conf, section string, value map[string]any) error {
	conf.Delete(section)
	return conf.Merge(confmap.NewFromStringMap(map[string]any{section: value}))
}

// dropPipelines takes receivers that are gone out of the pipelines, and connectors that no pipeline feeds any more,
// which the collector would refuse.
func dropPipelines(pipelines, receivers, connectors map[string]any) {
	for before := -1; before != len(pipelines); {
		before = len(pipelines)
		fed := map[string]bool{}
		for _, pipeline := range pipelines {
			exporters, _ := object(pipeline)["exporters"].([]any)
			for _, name := range exporters {
				if s, ok := name.(string); ok {
					fed[s] = true
				}
			}
		}
		for id, pipeline := range pipelines {
			list, ok := object(pipeline)["receivers"].([]any)
			if !ok {
				continue
			}
			list = slices.DeleteFunc(slices.Clone(list), func(name any) bool {
				s, _ := name.(string)
				_, isReceiver := receivers[s]
				_, isConnector := connectors[s]
				return !isReceiver && (!isConnector || !fed[s])
			})
			if len(list) == 0 {
				delete(pipelines, id)
				continue
			}
			object(pipeline)["receivers"] = list
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func portOf(endpoint any, otherwise string) string {
	s, _ := endpoint.(string)
	if s == "" {
		return otherwise
	}
	return s[strings.LastIndexByte(s, ':')+1:]
}
