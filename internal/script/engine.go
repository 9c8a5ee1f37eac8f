package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/dop251/goja"

	"sluice/internal/logs"
)

const (
	maxScript = 1 << 20 // bytes of a file
	maxDepth  = 4096    // of calls
	maxNested = 512     // arrays and objects of JSON: the parser of the VM would take the stack of the whole program
	maxLine   = 1000    // bytes of a line that a script prints
	maxLines  = 100     // of these a second, and a worker
)

// compile reads the script; its errors name file and line.
func compile(path string) (*goja.Program, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxScript {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxScript)
	}
	program, err := goja.Compile(path, strings.TrimPrefix(string(text), "\ufeff"), false)
	if err != nil {
		hint := ""
		if module.Match(text) {
			hint = " (there are no modules: neither import nor export)"
		}
		return nil, errors.New(firstLine(err.Error()) + hint)
	}
	return program, nil
}

// module finds lines of modules.
var module = regexp.MustCompile(`(?m)^\s*(import|export)\b`)

// prelude takes away what makes code of text, and has JSON.parse refuse what check does: their parsers would take the stack of
// the whole program.
const prelude = `(function(check) {
	const never = function Function() { throw new TypeError("no code is made of text here"); };
	never.prototype = Function.prototype;
	for (const f of [function() {}, async function() {}, function*() {}])
		Object.defineProperty(Object.getPrototypeOf(f), "constructor", {value: never});
	globalThis.Function = never;
	delete globalThis.eval;
	const parse = JSON.parse, text = String;
	JSON.parse = function(json, reviver) {
		json = text(json);
		check(json);
		return parse(json, reviver);
	};
})`

// engine is a VM in which the script has run: of one goroutine.
type engine struct {
	vm        *goja.Runtime
	httpout   *goja.Object
	onRequest goja.Callable
	log       printer
}

// newEngine makes a VM with what scripts find there, but without the script.
func newEngine(log *slog.Logger) (*engine, error) {
	vm := goja.New()
	vm.SetMaxCallStackSize(maxDepth)
	e := &engine{vm: vm, httpout: vm.NewObject(), log: printer{log: log}}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	console := vm.NewObject()
	global := vm.GlobalObject()
	err := errors.Join(
		e.printsAt(console, "log", slog.LevelInfo), e.printsAt(console, "info", slog.LevelInfo), e.printsAt(console, "debug", slog.LevelDebug),
		e.printsAt(console, "warn", slog.LevelWarn), e.printsAt(console, "error", slog.LevelError),
		global.Set("httpout", e.httpout), global.Set("console", console),
		global.Set("print", func(c goja.FunctionCall) goja.Value { return e.log.leveled(c.Arguments) }),
	)
	for i, name := range levelNames {
		err = errors.Join(err, global.Set(name, i+1))
	}
	return e, err
}

// levelNames are GPAC's, of the numbers from 1.
var levelNames = [...]string{"GF_LOG_ERROR", "GF_LOG_WARNING", "GF_LOG_INFO", "GF_LOG_DEBUG"}

func (e *engine) prepare() error {
	program, err := e.vm.RunString(prelude)
	if err != nil {
		return err
	}
	run, _ := goja.AssertFunction(program)
	_, err = run(goja.Undefined(), e.vm.ToValue(func(c goja.FunctionCall) goja.Value {
		if nestedDeeper(c.Argument(0).String(), maxNested) {
			panic(e.vm.NewTypeError("JSON that is nested deeper than %d", maxNested))
		}
		return goja.Undefined()
	}))
	return err
}

func (e *engine) printsAt(o *goja.Object, name string, level slog.Level) error {
	return o.Set(name, func(c goja.FunctionCall) goja.Value { return e.log.print(level, c.Arguments) })
}

// nestedDeeper says whether arrays and objects of a JSON text are.
func nestedDeeper(text string, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '[', c == '{':
			if depth++; depth > limit {
				return true
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return false
}

// load runs the script, which has to set httpout.on_request.
func (e *engine) load(p *goja.Program) error {
	if _, err := e.vm.RunProgram(p); err != nil {
		return err
	}
	f, ok := goja.AssertFunction(e.httpout.Get("on_request"))
	if !ok {
		return errors.New("the script sets no httpout.on_request = function(req) { … }")
	}
	e.onRequest = f
	return nil
}

// printer writes what a script prints: lines, bounded in length and in number a second.
type printer struct {
	log     *slog.Logger
	second  time.Time
	printed int
	held    int // lines that were too many since they were last told of
}

// leveled is GPAC's print([level,] text…).
func (p *printer) leveled(args []goja.Value) goja.Value {
	if len(args) < 2 {
		return p.print(slog.LevelInfo, args)
	}
	switch args[0].Export() {
	case int64(1):
		return p.print(slog.LevelError, args[1:])
	case int64(2):
		return p.print(slog.LevelWarn, args[1:])
	case int64(3):
		return p.print(slog.LevelInfo, args[1:])
	case int64(4):
		return p.print(slog.LevelDebug, args[1:])
	}
	return p.print(slog.LevelInfo, args)
}

func (p *printer) print(level slog.Level, args []goja.Value) goja.Value {
	now := time.Now()
	if now.Sub(p.second) >= time.Second {
		p.second, p.printed = now, 0
	}
	if p.printed++; p.printed > maxLines {
		p.held++
		return goja.Undefined()
	}
	var words []string
	for _, arg := range args {
		words = append(words, clip(arg.String(), maxLine))
	}
	attrs := []any{logs.Reason, printable(clip(strings.Join(words, " "), maxLine))}
	if p.held > 0 {
		attrs = append(attrs, logs.Repeated, p.held)
		p.held = 0
	}
	p.log.Log(context.Background(), level, "the script says", attrs...)
	return goja.Undefined()
}

// clip cuts a text off behind limit bytes.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// printable has no control characters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// firstLine is that of an error of the VM, for the log.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return printable(clip(line, maxLine))
}
