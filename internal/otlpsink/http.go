// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	contentProto = "application/x-protobuf"
	contentJSON  = "application/json"
)

func (s *Sink) newHTTPServer() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(s.serveHTTP),
		// A client that hangs in its headers would hold a connection for ever.
		ReadHeaderTimeout: time.Minute,
		ConnState:         s.httpConns.track,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
	}
}

func (s *Sink) serveHTTP(w http.ResponseWriter, r *http.Request) {
	signal, err := signalOfPath(r.URL.Path)
	if err != nil {
		s.turnAway(w, r, http.StatusNotFound, err)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.turnAway(w, r, http.StatusMethodNotAllowed, fmt.Errorf("method %s is not POST", r.Method))
		return
	}
	ex, err := s.admit(r.Context(), signal, TransportHTTP, r.URL.Path, r.Header.Clone())
	if err != nil {
		panic(http.ErrAbortHandler) // the way to end a connection without an answer
	}
	p, code, err := s.readPayload(w, r, ex)
	if err != nil {
		s.invalid(ex, code, err)
		writeError(w, isJSON(r), code, err.Error())
		return
	}
	s.answerHTTP(w, r, s.settle(r.Context(), ex, p), signal)
}

func signalOfPath(path string) (Signal, error) {
	for _, s := range signals() {
		if path == "/v1/"+string(s) {
			return s, nil
		}
	}
	return "", fmt.Errorf("path %q is not /v1/traces, /v1/metrics or /v1/logs", path)
}

// turnAway answers a request that is not OTLP at all; faults do not see it.
func (s *Sink) turnAway(w http.ResponseWriter, r *http.Request, code int, cause error) {
	req := s.begin("", TransportHTTP, r.URL.Path, r.Header.Clone())
	s.invalid(&exchange{request: req}, code, cause)
	writeError(w, isJSON(r), code, cause.Error())
}

func (s *Sink) readPayload(w http.ResponseWriter, r *http.Request, ex *exchange) (payload, int, error) {
	media := mediaType(r.Header)
	if media != contentProto && media != contentJSON {
		return payload{}, http.StatusUnsupportedMediaType,
			fmt.Errorf("content type %q is not %s or %s", r.Header.Get("Content-Type"), contentProto, contentJSON)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBodyBytes))
	if err == nil {
		body, err = decompress(body, r.Header.Get("Content-Encoding"), s.options.MaxBodyBytes)
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return payload{}, http.StatusRequestEntityTooLarge, err
	}
	if err != nil {
		return payload{}, http.StatusBadRequest, err
	}
	p, err := decodePayload(ex.request.Signal, body, media == contentJSON)
	if err != nil {
		return payload{}, http.StatusBadRequest, fmt.Errorf("body is not OTLP: %w", err)
	}
	ex.bytes = len(body)
	s.received(ex, p.items())
	return p, 0, nil
}

func mediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

func isJSON(r *http.Request) bool { return mediaType(r.Header) == contentJSON }

// decompress returns an *http.MaxBytesError when the result would be larger than limit.
func decompress(body []byte, encoding string, limit int64) ([]byte, error) {
	var reader io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		reader, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate", "zlib":
		reader, err = zlib.NewReader(bytes.NewReader(body))
	case "zstd":
		var dec *zstd.Decoder
		dec, err = zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err == nil {
			defer dec.Close()
			reader = dec
		}
	default:
		return nil, fmt.Errorf("content encoding %q is not supported: use gzip, zstd, deflate or none", encoding)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", encoding, err)
	}
	out, err := io.ReadAll(io.LimitReader(reader, limit+1))
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", encoding, err)
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("decompress %s: %w", encoding, &http.MaxBytesError{Limit: limit})
	}
	return out, nil
}

func (s *Sink) answerHTTP(w http.ResponseWriter, r *http.Request, v verdict, signal Signal) {
	switch v.outcome {
	case OutcomeRefused:
		if v.fault.RetryAfter > 0 {
			// The header has whole seconds; coming back too early would be the client's mistake, not ours.
			seconds := (v.fault.RetryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
		writeError(w, isJSON(r), v.fault.Status, "refused as asked for by the fault "+v.fault.String())
	case OutcomeBroken, OutcomeAckLost:
		s.httpGate.breakConn(r.RemoteAddr, v.fault.Action != ActionClose)
		panic(http.ErrAbortHandler)
	case OutcomeAccepted:
		body, err := encodeResponse(signal, v.rejected, isJSON(r))
		if err != nil {
			writeError(w, isJSON(r), http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", mediaType(r.Header))
		_, _ = w.Write(body) // a client that is gone by now has been counted as answered
	default:
		panic(http.ErrAbortHandler)
	}
}

// writeError answers with a google.rpc.Status, as OTLP/HTTP wants it.
func writeError(w http.ResponseWriter, json bool, code int, message string) {
	st := status.New(grpcCodeOf(code), message).Proto()
	content, marshal := contentProto, proto.Marshal
	if json {
		content, marshal = contentJSON, protojson.Marshal
	}
	body, err := marshal(st)
	if err != nil {
		// Only a message that is not UTF-8 gets here; the code says enough.
		body = nil
	}
	w.Header().Set("Content-Type", content)
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
