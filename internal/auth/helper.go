package auth

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/internal/logs"
)

// errorLine is how many bytes of a line on standard error are logged.
const errorLine = 512

// helper is one running program.
type helper struct {
	cmd   *exec.Cmd
	in    *os.File      // its standard input
	lines chan line     // its standard output; the last has an error
	log   *slog.Logger  // limited
	done  chan struct{} // closed when it is of no more use: nobody receives lines

	patience time.Duration // see pool

	exited chan struct{}  // closed when the process has ended
	group  sync.WaitGroup // run, readOutput, readErrors
}

// line is one line of the standard output.
type line struct {
	text string // without LF
	more bool   // something else came with it
	err  error  // instead of a line
}

// findProgram returns the command with the whole path of its program.
func findProgram(command []string) ([]string, error) {
	path, err := exec.LookPath(command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("helper: %w", err)
	}
	return append([]string{path}, command[1:]...), nil
}

// startHelper starts the command, whose first word is a path. kill or end ends it.
func startHelper(command []string, patience time.Duration, log *slog.Logger) (*helper, error) {
	h := &helper{
		cmd:      exec.Command(command[0], command[1:]...),
		lines:    make(chan line),
		log:      log,
		done:     make(chan struct{}),
		patience: patience,
		exited:   make(chan struct{}),
	}
	h.cmd.Env = environment()
	h.cmd.SysProcAttr = attributes()
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("start helper: %w", err)
		}
		files = append(files, r, w)
	}
	h.cmd.Stdin, h.cmd.Stdout, h.cmd.Stderr = files[0], files[3], files[5]
	in, out, errs := files[1], files[2], files[4]
	started := make(chan error)
	h.group.Go(func() { h.run(started, out, errs) })
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	files = []*os.File{files[0], files[3], files[5]} // ours go on
	h.in = in
	h.group.Go(func() { h.readOutput(out) })
	h.group.Go(func() { h.readErrors(errs) })
	return h, nil
}

// environment is all that a helper gets of ours.
func environment() []string {
	var list []string
	for _, name := range []string{"PATH", "LANG"} {
		if value, set := os.LookupEnv(name); set {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// run starts the process and awaits it. It keeps its thread: where the kernel kills the
// process when its parent ends, the thread that forked is meant.
func (h *helper) run(started chan<- error, out, errs *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := h.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = h.cmd.Wait() // the state has it
	h.signal(syscall.SIGKILL)
	// A child that has left the group may hold the pipes.
	late := time.Now().Add(h.patience)
	_ = out.SetReadDeadline(late)
	_ = errs.SetReadDeadline(late)
	close(h.exited)
}

// readOutput takes the output apart into lines until it ends.
func (h *helper) readOutput(out *os.File) {
	defer out.Close()
	r := bufio.NewReaderSize(out, maxAnswerLine)
	for {
		text, err := r.ReadSlice('\n')
		l := line{text: strings.TrimSuffix(string(text), "\n"), more: r.Buffered() > 0}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			l.err = errTooLong
		case err != nil:
			l.err = errEnded
		}
		select {
		case h.lines <- l:
		case <-h.done:
		}
		if l.err != nil {
			return
		}
	}
}

// readErrors logs what it can of standard error.
func (h *helper) readErrors(errs *os.File) {
	defer errs.Close()
	r := bufio.NewReaderSize(errs, errorLine)
	within := false // a long line that has been logged
	for {
		text, more, err := r.ReadLine()
		if err != nil {
			return
		}
		if !within && len(text) > 0 {
			h.log.Warn("authorization helper says", logs.PID, h.pid(), "text", masked(string(text)))
		}
		within = more
	}
}

// masked is the text of a helper without the queries and credentials of URLs in it.
func masked(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if head, _, found := strings.Cut(word, "?"); found {
			word = head + "?-"
		}
		scheme, rest, _ := strings.Cut(word, "://")
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			word = scheme + "://-" + rest[at:]
		}
		words[i] = word
	}
	return strings.Join(words, " ")
}

func (h *helper) pid() int { return h.cmd.Process.Pid }

// signal reaches the helper and its children. That they are gone is fine; the number may
// mean others then, once exited is closed.
func (h *helper) signal(s syscall.Signal) {
	select {
	case <-h.exited:
	default:
		_ = syscall.Kill(-h.pid(), s)
	}
}

// kill ends the helper at once. It returns when all of it has ended.
func (h *helper) kill() {
	close(h.done)
	h.signal(syscall.SIGKILL)
	h.await()
}

// end ends the helper in order: no more input, then TERM, then KILL.
func (h *helper) end() {
	close(h.done)
	h.in.Close()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-h.exited:
		case <-time.After(h.patience):
			h.signal(s)
		}
	}
	h.await()
}

func (h *helper) await() {
	h.group.Wait()
	h.in.Close()
}

// state says how the process has ended; only after kill or end.
func (h *helper) state() string { return h.cmd.ProcessState.String() }
