// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-lambda/otelcol-lambda/extension/lambdaextension"
	"github.com/otelcol-lambda/otelcol-lambda/internal/collector"
	"github.com/otelcol-lambda/otelcol-lambda/internal/extensionsapi"
	"github.com/otelcol-lambda/otelcol-lambda/internal/failopen"
	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
	"github.com/otelcol-lambda/otelcol-lambda/internal/selftelemetry"
)

// runOnLambda is the life of an external extension. It ends with SHUTDOWN, whatever happens to the collector before:
// Lambda takes an extension that exits for a failure of the function's environment.
func runOnLambda(env environment) int {
	logger := selftelemetry.NewLogger(os.Stdout, env.logLevel)
	for _, warning := range env.warnings {
		logger.Warn(warning)
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()

	// Lambda starts the function's runtime only after every extension has registered, so nothing comes before this.
	lambda := extensionsapi.NewClient(env.runtimeAPI)
	// Go starts two threads for it. Before the first event there is nothing to lose.
	lambda.AfterInit = func() { endOnSignal(ctx, end) }
	reg := lambda.Begin(ctx, filepath.Base(os.Args[0]),
		extensionsapi.Events(os.Getenv("AWS_LAMBDA_INITIALIZATION_TYPE")))
	defer reg.Close()
	err := runCollector(ctx, env, reg, logger)
	if err == nil {
		return 0
	}
	if env.guarded {
		reason := strings.Join(strings.Fields(err.Error()), " ")
		fmt.Fprintf(os.Stderr, "%s%.*s. %s (configuration: %s)\n", contract.ReasonPrefix,
			maxReason, strings.TrimSuffix(reason, "."), advice(err), strings.Join(redactURIs(env.configURIs), ", "))
		return exitStatus(err)
	}
	logger.Error("The collector does not run. The function is not affected, but its telemetry is not collected: what it sends "+
		"is refused. "+
		advice(err), zap.Error(err), zap.Strings("config", redactURIs(env.configURIs)))
	defer env.refuse(ctx, logger)()
	standBy(ctx, reg, logger)
	return 0
}

// endOnSignal calls end when the process is to end. Lambda sends no signals, but the guard does to a collector that is late,
// and so does a user who runs it locally. Signals that follow do not keep the collector from ending in order.
func endOnSignal(ctx context.Context, end context.CancelFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		select {
		case <-signals:
			end()
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
}

// maxReason bounds what the guard is told. Lambda splits log lines that are much longer.
const maxReason = 2 << 10

// exitStatus tells the guard whether to try again, and with what.
func exitStatus(err error) int {
	switch text := err.Error(); {
	case lacksProvider(text):
		return contract.ExitMissingComponent
	case errors.Is(err, collector.ErrLocate):
		return contract.ExitConfigInvalid
	case strings.Contains(text, "cannot retrieve the configuration") && !unretrievable(text):
		return 1 // a source of configuration that does not answer may do so later
	case strings.Contains(text, "unknown type"):
		return contract.ExitMissingComponent
	case errors.Is(err, collector.ErrGet), errors.Is(err, collector.ErrInvalid):
		return contract.ExitConfigInvalid
	default:
		return 1
	}
}

// lacksProvider tells that the configuration, or a value in it, comes from a source that this collector cannot read. A
// fuller one may.
func lacksProvider(text string) bool {
	return strings.Contains(text, "unsupported scheme on URI") || strings.Contains(text, "is not supported for uri")
}

// unretrievable tells failures to fetch a configuration that will not pass in the life of an environment.
func unretrievable(text string) bool {
	for _, cause := range []string{
		"no such file or directory", "is a directory", "not a directory", "permission denied", "status code: 400",
		"status code: 401", "status code: 403", "status code: 404", "is not supported", "unsupported protocol",
	} {
		if strings.Contains(text, cause) {
			return true
		}
	}
	return false
}

// inheritedListener returns the listener for Lambda's events that the guard has opened, or nil.
func (env environment) inheritedListener() (net.Listener, error) {
	if env.telemetryFD == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(env.telemetryFD)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", contract.EnvTelemetryFD, err)
	}
	// A copy, because the descriptor itself is for a collector that is started again in this process.
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, fmt.Errorf("copy the descriptor in %s: %w", contract.EnvTelemetryFD, err)
	}
	file := os.NewFile(uintptr(own), "telemetry")
	defer func() { _ = file.Close() }() // FileListener takes a copy of its own
	return net.FileListener(file)
}

// runCollector runs the collector until SHUTDOWN or a signal. An error means that it could not start, or that it
// ended by itself.
func runCollector(ctx context.Context, env environment, reg *extensionsapi.Pending, logger *zap.Logger) error {
	var ports failopen.Ports
	for {
		err := runOnce(ctx, env, reg, &ports, logger)
		addr, inUse := failopen.AddressInUse(err)
		if !inUse || !ports.Take(addr) {
			return err
		}
		logger.Error("Another process listens on a port of this collector, which goes on without it. "+
			"Set another `endpoint` for the receiver, and the same one in the function's OTEL_EXPORTER_OTLP_ENDPOINT.",
			zap.Stringer("address", addr), zap.Error(err))
	}
}

// lastWords bounds the wait for a log line that is written when the time is over.
const lastWords = 10 * time.Millisecond

var errEndedByItself = errors.New("the collector has stopped after a fatal error of a component, which it has logged")

// runOnce runs one collector. A panic in the goroutine that starts or ends it is an error like others.
func runOnce(
	ctx context.Context, env environment, reg *extensionsapi.Pending, ports *failopen.Ports, logger *zap.Logger,
) error {
	stop := make(chan time.Time, 1)
	set := collector.Settings{BuildInfo: buildInfo(), Resolver: resolver(env), Logger: logger}
	set.Resolver.ConverterFactories = append(set.Resolver.ConverterFactories, ports.NewFactory())
	var err error
	set.Factories, err = factories(env.logLevel,
		lambdaextension.WithSession(reg.Session),
		lambdaextension.WithTelemetryListener(env.inheritedListener),
		lambdaextension.WithStop(func(deadline time.Time) { stop <- deadline }))
	if err != nil {
		return err
	}
	var running *collector.Collector
	if err := guarded(func() error {
		running, err = collector.Start(ctx, set)
		return err
	}); err != nil {
		return err
	}
	shutdown := func() error {
		return guarded(func() error { return running.Shutdown(context.WithoutCancel(ctx)) })
	}
	select {
	case err := <-running.Fatal():
		running.Logger().Error("A component cannot go on, and the collector stops", zap.Error(err))
		return errors.Join(errEndedByItself, shutdown())
	case <-ctx.Done():
		return shutdown()
	case deadline := <-stop:
		ended := make(chan error, 1)
		go func() { ended <- shutdown() }()
		select {
		case err := <-ended:
			if err != nil {
				logger.Warn("The collector did not shut down cleanly", zap.Error(err))
			}
		case <-time.After(time.Until(deadline)):
			// A receiver waits for its clients, for example. What the queues held is delivered or counted by now.
			said := make(chan struct{})
			go func() {
				defer close(said)
				logger.Info("Components of the collector were still shutting down when the time that Lambda allows was over")
			}()
			select {
			case <-said:
			case <-time.After(lastWords): // nobody reads the log
			}
		}
		return nil
	}
}

// guarded makes an error of a panic.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the collector panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return do()
}

// standBy keeps the environment alive without a collector: it answers every event with the wish for the next.
func standBy(ctx context.Context, reg *extensionsapi.Pending, logger *zap.Logger) {
	session, err := reg.Session(ctx)
	if err != nil {
		if ctx.Err() == nil {
			logger.Error("Lambda did not register the extension", zap.Error(err))
		}
		<-ctx.Done()
		return
	}
	for {
		event, err := session.Await(ctx)
		if err != nil || event.Type == extensionsapi.EventShutdown {
			return
		}
	}
}

// advice tells the way out of the failures that users run into.
func advice(err error) string {
	text := err.Error()
	switch {
	case lacksProvider(text):
		return "The configuration, or a value in it, comes from a source that this distribution has no provider for."
	case errors.Is(err, collector.ErrLocate), strings.Contains(text, "cannot retrieve the configuration"):
		return "Check that " + envConfigURI + " names a configuration that this function can read: a file of the function " +
			"is at /var/task, one of a layer at /opt."
	case strings.Contains(text, "unknown type"):
		return "The configuration names a component that this distribution does not have; " +
			"`otelcol-lambda components` lists those it has."
	case errors.Is(err, collector.ErrGet), errors.Is(err, collector.ErrInvalid):
		return "`otelcol-lambda validate` checks a configuration before it is deployed."
	default:
		return "The error says what to change."
	}
}

// redactURIs keeps secrets out of the log: those in configuration that is given inline, and in the credentials and the
// query of an address.
func redactURIs(uris []string) []string {
	redacted := make([]string, len(uris))
	for i, text := range uris {
		redacted[i] = text
		uri, err := url.Parse(text)
		switch {
		case strings.HasPrefix(text, "yaml:"):
			redacted[i] = "yaml:…"
		case err != nil && strings.Contains(text, "://"):
			// A percent sign in a password is enough for an address not to be one.
			scheme, _, _ := strings.Cut(text, "://")
			redacted[i] = scheme + "://…"
		case err == nil && uri.Host != "":
			uri.User, uri.RawQuery, uri.Fragment = nil, "", ""
			redacted[i] = uri.String()
		}
	}
	return redacted
}
