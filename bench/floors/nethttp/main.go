// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Program nethttp is the smallest extension with net/http: it registers and asks for events until SHUTDOWN.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

const (
	// name has to be that of the file in the layer.
	name = "floor"
	api  = "/2020-01-01/extension"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context) error {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + api
	header, _, err := exchange(ctx, http.MethodPost, base+"/register", "Lambda-Extension-Name", name,
		`{"events":["INVOKE","SHUTDOWN"]}`)
	if err != nil {
		return err
	}
	identifier := header.Get("Lambda-Extension-Identifier")
	for {
		_, event, err := exchange(ctx, http.MethodGet, base+"/event/next", "Lambda-Extension-Identifier", identifier, "")
		if err != nil || strings.Contains(event, `"SHUTDOWN"`) {
			return err
		}
	}
}

func exchange(ctx context.Context, method, url, key, value, body string) (h http.Header, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	request.Header.Set(key, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.Header, string(text), err
}
