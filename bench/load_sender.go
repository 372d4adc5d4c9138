// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	protocolHTTP = "http"
	protocolGRPC = "grpc"
)

// verdict is what a collector says to a request.
type verdict struct {
	accepted bool
	// name is the status of a refusal, with what it says.
	name string
	// retryable says that by the specification of OTLP an SDK sends the request again.
	retryable bool
}

// sender has one connection.
type sender interface {
	// send returns what became of a request, and an error if nothing is known of it.
	send(ctx context.Context, p payload) (verdict, error)
	close() error
}

func newSender(ctx context.Context, protocol string) (sender, error) {
	if protocol == protocolGRPC {
		return newGRPCSender(otlpGRPC)
	}
	return newHTTPSender(ctx, otlpHTTP)
}

// httpSender writes requests that are ready. net/http would take more CPU than the collector, and there are but two.
type httpSender struct {
	conn   net.Conn
	reader *bufio.Reader
	head   bytes.Buffer
}

func newHTTPSender(ctx context.Context, address string) (*httpSender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &httpSender{conn: conn, reader: bufio.NewReader(conn)}, nil
}

func (s *httpSender) close() error { return s.conn.Close() }

func (s *httpSender) send(ctx context.Context, p payload) (verdict, error) {
	deadline, _ := ctx.Deadline() // none is no deadline
	if err := s.conn.SetDeadline(deadline); err != nil {
		return verdict{}, err
	}
	s.head.Reset()
	fmt.Fprintf(&s.head, "POST /v1/traces HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-protobuf\r\n"+
		"Content-Length: %d\r\n\r\n", s.conn.RemoteAddr(), len(p.body))
	request := net.Buffers{s.head.Bytes(), p.body}
	if _, err := request.WriteTo(s.conn); err != nil {
		return verdict{}, err
	}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		return verdict{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return verdict{}, err
	}
	return httpVerdict(response.StatusCode, body), response.Body.Close()
}

// httpVerdict knows the specification's list of retryable statuses. The body of a refusal says why.
func httpVerdict(code int, body []byte) verdict {
	v := verdict{accepted: code/100 == 2, name: strconv.Itoa(code)}
	if v.accepted {
		return v
	}
	var why spb.Status
	if proto.Unmarshal(body, &why) == nil && why.GetMessage() != "" {
		v.name += ": " + why.GetMessage()
	}
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		v.retryable = true
	}
	return v
}

// grpcSender passes on protobuf that is ready.
type grpcSender struct{ conn *grpc.ClientConn }

func newGRPCSender(address string) (*grpcSender, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		return nil, err
	}
	return &grpcSender{conn}, nil
}

func (s *grpcSender) close() error { return s.conn.Close() }

func (s *grpcSender) send(ctx context.Context, p payload) (verdict, error) {
	const method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	var answer []byte
	return grpcVerdict(s.conn.Invoke(ctx, method, p.body, &answer))
}

// grpcVerdict knows the specification's list of retryable codes. The error is given back when no collector has said it.
func grpcVerdict(err error) (verdict, error) {
	s, said := status.FromError(err)
	if !said {
		return verdict{}, err
	}
	v := verdict{accepted: s.Code() == codes.OK, name: s.Code().String()}
	if s.Message() != "" {
		v.name += ": " + s.Message()
	}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		return verdict{}, err // our own
	case codes.Unavailable, codes.Aborted, codes.OutOfRange, codes.DataLoss:
		v.retryable = true
	case codes.ResourceExhausted:
		for _, detail := range s.Details() {
			if _, ok := detail.(*errdetails.RetryInfo); ok {
				v.name, v.retryable = v.name+" (with RetryInfo)", true
			}
		}
	}
	return v, nil
}

// bytesCodec takes messages for what they are.
type bytesCodec struct{}

// Marshal implements encoding.CodecV2.
func (bytesCodec) Marshal(message any) (mem.BufferSlice, error) {
	body, ok := message.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (bytesCodec) Unmarshal(data mem.BufferSlice, message any) error {
	body, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not a message", message)
	}
	*body = data.Materialize()
	return nil
}

// Name implements encoding.CodecV2: what it carries is protobuf.
func (bytesCodec) Name() string { return "proto" }

// tally is what a sender saw.
type tally struct {
	// accepted and refused are requests, spans those that were accepted.
	accepted, refused, spans int
	// statuses are those of the refusals.
	statuses map[string]int
	// wrong are refusals after which an SDK drops the data.
	wrong int
}

func (t *tally) add(v verdict, p payload) {
	if v.accepted {
		t.accepted++
		t.spans += p.spans
		return
	}
	t.refused++
	if t.statuses == nil {
		t.statuses = map[string]int{}
	}
	t.statuses[v.name]++
	if !v.retryable {
		t.wrong++
	}
}

// minus is what has come since an earlier tally.
func (t tally) minus(earlier tally) tally {
	since := tally{
		accepted: t.accepted - earlier.accepted, refused: t.refused - earlier.refused, spans: t.spans - earlier.spans,
		wrong: t.wrong - earlier.wrong, statuses: map[string]int{},
	}
	for name, n := range t.statuses {
		if n -= earlier.statuses[name]; n > 0 {
			since.statuses[name] = n
		}
	}
	return since
}

// retryPause is how long a sender waits after a refusal before it sends the same again. SDKs wait for seconds.
const retryPause = 50 * time.Millisecond
