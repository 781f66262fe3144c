// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build wasip1

// Package wasihttp lets an ordinary http.Handler answer the requests of a WASI 0.2 host (wasi:http/incoming-handler).
package wasihttp

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	wit "go.bytecodealliance.org/pkg/wit/types"
	"wasmfaas.example/wasihttp/internal/wit/exports/export_wasi_http_incoming_handler"
	_ "wasmfaas.example/wasihttp/internal/wit/exports/wit_exports"
	wasi "wasmfaas.example/wasihttp/internal/wit/imports/wasi_http_types"
	streams "wasmfaas.example/wasihttp/internal/wit/imports/wasi_io_streams"
)

// Handle makes handler answer all requests. It must be called in an init function, since nobody calls main.
func Handle(handler http.Handler) {
	export_wasi_http_incoming_handler.Handle = func(request *wasi.IncomingRequest, out *wasi.ResponseOutparam) {
		answer(handler, request, out)
	}
}

func answer(handler http.Handler, incoming *wasi.IncomingRequest, out *wasi.ResponseOutparam) {
	response := &responseWriter{out: out, header: http.Header{}}
	request, body, err := newRequest(incoming)
	defer func() { // children first, as the host demands
		body.drop()
		incoming.Drop()
	}()
	response.isHead = request != nil && request.Method == http.MethodHead
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		response.finish()
		return
	}
	defer func() {
		if reason := recover(); reason != nil {
			if reason != http.ErrAbortHandler {
				log.Printf("panic answering %s %s: %v\n%s", request.Method, request.URL, reason, debug.Stack())
			}
			response.abort()
		}
	}()
	handler.ServeHTTP(response, request)
	response.finish()
}

// newRequest makes the request that a server of net/http would hand to its handler.
func newRequest(incoming *wasi.IncomingRequest) (*http.Request, *requestBody, error) {
	body := &requestBody{}
	header := http.Header{}
	fields := incoming.Headers()
	for _, field := range fields.Entries() {
		header.Add(field.F0, string(field.F1))
	}
	fields.Drop()
	target := incoming.PathWithQuery().SomeOr("/")
	address, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, body, errors.New("the request's path is no path of a URL")
	}
	host := incoming.Authority().SomeOr(header.Get("Host"))
	header.Del("Host")
	method, length := methodName(incoming.Method()), int64(-1)
	if stated, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && stated >= 0 {
		length = stated
	} else if method == http.MethodGet || method == http.MethodHead {
		length = 0
	}
	if consumed := incoming.Consume(); consumed.IsOk() {
		body.body = consumed.Ok()
		if stream := body.body.Stream(); stream.IsOk() {
			body.stream = stream.Ok()
		}
	}
	return &http.Request{
		Method:        method,
		URL:           address,
		RequestURI:    target,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Host:          host,
		RemoteAddr:    header.Get("Spin-Client-Addr"),
		Body:          body,
		ContentLength: length,
	}, body, nil
}

// methods are in the order of wasi:http/types.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodConnect,
	http.MethodOptions, http.MethodTrace, http.MethodPatch,
}

func methodName(method wasi.Method) string {
	if tag := int(method.Tag()); tag < len(methods) {
		return methods[tag]
	}
	return method.Other()
}

// requestBody is an io.ReadCloser; it reads what has arrived and waits where nothing has.
type requestBody struct {
	body   *wasi.IncomingBody
	stream *wasi.InputStream
	err    error
}

func (body *requestBody) Read(into []byte) (int, error) {
	if body.err == nil && body.stream == nil {
		body.err = io.EOF
	}
	if body.err != nil || len(into) == 0 {
		return 0, body.err
	}
	result := body.stream.BlockingRead(uint64(len(into)))
	if result.IsErr() {
		body.err = streamError(result.Err(), io.EOF)
		return 0, body.err
	}
	return copy(into, result.Ok()), nil
}

func (body *requestBody) Close() error {
	if body.err == nil {
		body.err = http.ErrBodyReadAfterClose
	}
	return nil
}

func (body *requestBody) drop() {
	body.err = http.ErrBodyReadAfterClose
	if body.stream != nil {
		body.stream.Drop()
		body.stream = nil
	}
	if body.body != nil {
		body.body.Drop()
		body.body = nil
	}
}

func streamError(failure streams.StreamError, closed error) error {
	if failure.Tag() != streams.StreamError_LastOperationFailed {
		return closed
	}
	cause := failure.LastOperationFailed()
	defer cause.Drop()
	return errors.New(cause.ToDebugString())
}

// bufferSize is how much of an answer is held back, so that a short one gets its Content-Length.
const bufferSize = 4096

// responseWriter is an http.ResponseWriter and http.Flusher. Headers go out with the first bytes that are not buffered.
type responseWriter struct {
	out    *wasi.ResponseOutparam
	header http.Header
	isHead bool

	status  int // 0 before WriteHeader
	sent    http.Header
	begun   bool // the host has the headers
	buffer  []byte
	body    *wasi.OutgoingBody
	stream  *wasi.OutputStream
	failure error
}

func (writer *responseWriter) Header() http.Header {
	return writer.header
}

func (writer *responseWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as net/http does
	}
	if writer.status != 0 || status < 200 { // the host sends informational answers itself
		return
	}
	writer.status = status
	writer.sent = writer.header.Clone()
}

func (writer *responseWriter) hasBody() bool {
	return writer.status != http.StatusNoContent && writer.status != http.StatusNotModified
}

func (writer *responseWriter) Write(content []byte) (int, error) {
	if writer.status == 0 {
		writer.WriteHeader(http.StatusOK)
	}
	if !writer.hasBody() {
		return 0, http.ErrBodyNotAllowed
	}
	if _, set := writer.sent["Content-Type"]; !set && !writer.begun && len(writer.buffer) == 0 && len(content) > 0 {
		writer.sent.Set("Content-Type", http.DetectContentType(content))
	}
	if writer.isHead {
		return len(content), nil
	}
	if len(writer.buffer)+len(content) <= bufferSize {
		writer.buffer = append(writer.buffer, content...)
		return len(content), nil
	}
	writer.empty()
	writer.send(content)
	if writer.failure != nil {
		return 0, writer.failure
	}
	return len(content), nil
}

// Flush sends what is buffered.
func (writer *responseWriter) Flush() {
	if writer.status == 0 {
		writer.WriteHeader(http.StatusOK)
	}
	writer.empty()
	if writer.stream != nil && writer.failure == nil {
		if result := writer.stream.BlockingFlush(); result.IsErr() {
			writer.failure = streamError(result.Err(), io.ErrClosedPipe)
		}
	}
}

func (writer *responseWriter) empty() {
	writer.begin()
	writer.send(writer.buffer)
	writer.buffer = writer.buffer[:0]
}

// begin hands the status and the headers to the host.
func (writer *responseWriter) begin() {
	if writer.begun {
		return
	}
	writer.begun = true
	fields := wasi.MakeFields()
	for name, values := range writer.sent {
		for _, value := range values {
			// Line ends become blanks, as in net/http; what the host forbids (Connection and its like) is the host's own.
			fields.Append(strings.ToLower(name), []byte(lineEnds.Replace(value)))
		}
	}
	response := wasi.MakeOutgoingResponse(fields)
	response.SetStatusCode(uint16(writer.status))
	writer.body = response.Body().Ok()
	wasi.ResponseOutparamSet(writer.out, wit.Ok[*wasi.OutgoingResponse, wasi.ErrorCode](response))
	writer.stream = writer.body.Write().Ok()
}

var lineEnds = strings.NewReplacer("\r", " ", "\n", " ")

// send writes as much at a time as the host takes.
func (writer *responseWriter) send(content []byte) {
	for len(content) > 0 && writer.failure == nil {
		permitted := writer.stream.CheckWrite()
		if permitted.IsErr() {
			writer.failure = streamError(permitted.Err(), io.ErrClosedPipe)
			return
		}
		length := min(permitted.Ok(), uint64(len(content)))
		if length == 0 {
			ready := writer.stream.Subscribe()
			ready.Block()
			ready.Drop()
			continue
		}
		if result := writer.stream.Write(content[:length]); result.IsErr() {
			writer.failure = streamError(result.Err(), io.ErrClosedPipe)
			return
		}
		content = content[length:]
	}
}

// finish ends the answer; one that fits into the buffer gets its length.
func (writer *responseWriter) finish() {
	if writer.status == 0 {
		writer.WriteHeader(http.StatusOK)
	}
	if _, set := writer.sent["Content-Length"]; !set && !writer.begun && writer.hasBody() && !writer.isHead {
		writer.sent.Set("Content-Length", strconv.Itoa(len(writer.buffer)))
	}
	writer.Flush()
	writer.stream.Drop()
	writer.stream = nil
	if writer.failure == nil {
		wasi.OutgoingBodyFinish(writer.body, wit.None[*wasi.Fields]())
	} else {
		writer.body.Drop()
	}
}

// abort ends the answer of a handler that panicked: with 500, or cut off where it has begun, so that nobody takes it for
// whole.
func (writer *responseWriter) abort() {
	if !writer.begun {
		writer.status, writer.buffer, writer.header = 0, nil, http.Header{}
		http.Error(writer, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		writer.finish()
		return
	}
	if writer.stream != nil {
		writer.stream.Drop()
		writer.body.Drop()
	}
}
