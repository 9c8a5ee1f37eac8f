package script

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"

	"sluice/internal/httpx"
)

// Limits of what a script says.
const (
	maxBody    = 8 << 20 // bytes of the text of an answer
	maxHeaders = 100
	maxHeader  = 8 << 10 // bytes of a name and its value
)

// newObject makes the req of an exchange.
func (x *Exchange) newObject() *goja.Object {
	vm, r := x.engine.vm, x.asked.HTTP
	req := vm.NewObject()
	peer := x.asked.Peer
	if !peer.IsValid() {
		peer = httpx.ClientAddr(r)
	}
	ip := ""
	if peer.IsValid() {
		ip = peer.Addr().String()
	}
	var all []error
	fixed := func(name string, value any) {
		all = append(all, req.DefineDataProperty(name, vm.ToValue(value), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE))
	}
	fixed("method", r.Method)
	fixed("url", urlOf(r))
	fixed("auth_code", x.asked.AuthCode)
	fixed("headers_in", x.headersIn())
	fixed("tls", r.TLS != nil)
	fixed("netid", goja.Null())
	fixed("IP", ip)
	fixed("port", peer.Port())
	fixed("send", func(goja.FunctionCall) goja.Value { return x.send() })
	all = append(all, req.Set("reply", 0), req.Set("body", goja.Undefined()), req.Set("headers_out", vm.NewArray()))
	if errors.Join(all...) != nil {
		return nil
	}
	return req
}

// urlOf is the path of a request, decoded once, and its query.
func urlOf(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return r.URL.Path
	}
	return r.URL.Path + "?" + r.URL.RawQuery
}

// headersIn are those of the request, sorted, Host in front.
func (x *Exchange) headersIn() *goja.Object {
	vm, r := x.engine.vm, x.asked.HTTP
	var list []any
	add := func(name, value string) {
		line := vm.NewObject()
		_, _ = line.Set("name", name), line.Set("value", value) // a new object takes everything
		list = append(list, line)
	}
	add("Host", r.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			add(name, value)
		}
	}
	return vm.NewArray(list...)
}

// send is the function of req: what it says holds from now on. What is wrong in it is thrown.
func (x *Exchange) send() goja.Value {
	vm := x.engine.vm
	if x.sent {
		panic(vm.NewTypeError("send() was called before"))
	}
	answer, err := x.answer()
	if err != nil {
		panic(vm.NewTypeError("%s", err.Error()))
	}
	x.Answer, x.sent = answer, true
	if x.asking { // it may still throw
		return goja.Undefined()
	}
	x.settle(nil) // unless the request is over, as close has told: whoever is served meanwhile is not to suffer for that
	return goja.Undefined()
}

// answer reads what the script has written into req.
func (x *Exchange) answer() (Answer, error) {
	a := Answer{length: -1, Throttle: x.has("throttle")}
	reply := int64(0)
	if value := x.req.Get("reply"); value != nil {
		reply = value.ToInteger()
	}
	if reply != 0 && (reply < 200 || reply > 599) {
		return a, fmt.Errorf("reply is %d, want 0 or 200 to 599", reply)
	}
	a.Status = int(reply)
	if err := x.readHeaders(&a); err != nil {
		return a, err
	}
	body, err := textOf(x.req.Get("body"))
	switch {
	case err != nil:
		return a, err
	case a.Status == 0 && body != "":
		a.File = body
		return a, x.mayServe(body)
	case a.Status == 0:
		return a, nil
	}
	a.Body = body
	switch x.asked.HTTP.Method {
	case http.MethodPut, http.MethodPost:
		if a.Streamed = x.has("write"); !a.Streamed && a.Status < 300 {
			return a, fmt.Errorf("a %s that is answered with %d needs a function write", x.asked.HTTP.Method, a.Status)
		}
	default:
		a.Streamed = body == "" && x.has("read")
	}
	return a, nil
}

func (x *Exchange) has(function string) bool {
	_, ok := goja.AssertFunction(x.req.Get(function))
	return ok
}

func (x *Exchange) mayServe(path string) error {
	if x.hook.conf.Files == nil {
		return errors.New("body is the path of a file when reply is 0, and there are no files for scripts")
	}
	if err := x.hook.conf.Files(path); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// textOf is the text of a body, "" if it has none.
func textOf(value goja.Value) (string, error) {
	if value == nil || goja.IsUndefined(value) || goja.IsNull(value) {
		return "", nil
	}
	text, ok := value.(goja.String)
	if !ok {
		return "", errors.New("body is no string")
	}
	if text.Length() > maxBody {
		return "", fmt.Errorf("body has %d characters, %d at most", text.Length(), maxBody)
	}
	return text.String(), nil
}

// readHeaders reads headers_out.
func (x *Exchange) readHeaders(a *Answer) error {
	value := x.req.Get("headers_out")
	if value == nil || goja.IsUndefined(value) || goja.IsNull(value) {
		return nil
	}
	vm := x.engine.vm
	list := value.ToObject(vm)
	length := int64(0)
	if n := list.Get("length"); n != nil {
		length = n.ToInteger()
	}
	if length > maxHeaders {
		return fmt.Errorf("headers_out has %d headers, %d at most", length, maxHeaders)
	}
	for i := range length {
		line := list.Get(strconv.FormatInt(i, 10))
		if line == nil || goja.IsUndefined(line) || goja.IsNull(line) {
			return fmt.Errorf("headers_out[%d] is no {name, value}", i)
		}
		name, value := line.ToObject(vm).Get("name"), line.ToObject(vm).Get("value")
		if name == nil || value == nil {
			return fmt.Errorf("headers_out[%d] is no {name, value}", i)
		}
		if err := a.addHeader(name.String(), strings.TrimSpace(value.String())); err != nil {
			return err
		}
	}
	return nil
}

// addHeader adds what is fit to be a header and is not of a connection.
func (a *Answer) addHeader(name, value string) error {
	if len(name)+len(value) > maxHeader {
		return fmt.Errorf("a header of %d bytes, %d at most", len(name)+len(value), maxHeader)
	}
	if name == "" || strings.ContainsFunc(name, notToken) {
		return fmt.Errorf("%q is no name of a header", clip(name, 80))
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the header %s has a control character in its value", name)
	}
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
	case "content-length":
		length, err := strconv.ParseInt(value, 10, 64)
		if err != nil || length < 0 {
			return fmt.Errorf("Content-Length is %q, want a number of bytes", clip(value, 80))
		}
		a.length = length
	default:
		a.Headers = append(a.Headers, [2]string{name, value})
	}
	return nil
}

// notToken says what has no place in a name (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	alphanumeric := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !alphanumeric && (r > '~' || !strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}
