// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Command uninstrumented is an AWS Lambda function that knows nothing of OpenTelemetry: what is told about it comes from
// Lambda and from the lines that it writes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() {
	lambda.Start(newCheckout(os.Stdout, os.Exit).handle) // returns only by exiting
}

// order is the event. All fields may be missing.
type order struct {
	// ID is the request id when it is empty.
	ID string `json:"orderId"`

	// SleepMS makes the handler take that many milliseconds, whatever the deadline says.
	SleepMS int `json:"sleepMs"`
	// Lines adds that many lines of text.
	Lines int `json:"lines"`
	// Fail makes the handler return an error.
	Fail bool `json:"fail"`
	// Crash ends the process.
	Crash bool `json:"crash"`
}

// receipt is the answer.
type receipt struct {
	OrderID string `json:"orderId"`
}

var errDeclined = errors.New("the card was declined")

// checkout is the function's work.
type checkout struct {
	// out gets lines of text, log lines of JSON.
	out  io.Writer
	log  *slog.Logger
	exit func(code int)
}

func newCheckout(out io.Writer, exit func(int)) *checkout {
	return &checkout{out, slog.New(slog.NewJSONHandler(out, nil)), exit}
}

func (c *checkout) handle(ctx context.Context, o order) (receipt, error) {
	if lc, ok := lambdacontext.FromContext(ctx); ok && o.ID == "" {
		o.ID = lc.AwsRequestID
	}
	fmt.Fprintf(c.out, "order %s received\n", o.ID)
	for i := range o.Lines {
		fmt.Fprintf(c.out, "item %d of order %s\n", i+1, o.ID)
	}
	time.Sleep(time.Duration(o.SleepMS) * time.Millisecond)
	switch {
	case o.Crash:
		c.exit(1)
	case o.Fail:
		c.log.ErrorContext(ctx, "order declined", slog.String("order.id", o.ID))
		return receipt{}, errDeclined
	}
	c.log.InfoContext(ctx, "order charged", slog.String("order.id", o.ID))
	return receipt{o.ID}, nil
}
