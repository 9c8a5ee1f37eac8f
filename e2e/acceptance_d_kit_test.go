//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/testkit"
)

// answers asks for a stream and says with which status that is answered. A stream is given
// up at its first byte.
func (p *product) answers(path string) int {
	p.t.Helper()
	k, err := knock(p, path, anyAddress)
	var a errAnswer
	switch {
	case err == nil:
		k.conn.Close()
		return 200
	case errors.As(err, &a):
		return a.code
	}
	p.t.Fatalf("GET %s: %v", path, err)
	return 0
}

// wants is answers with the status that there should be.
func (p *product) wants(code int, path string) {
	p.t.Helper()
	if got := p.answers(path); got != code {
		p.t.Errorf("GET %s: %d, want %d", path, got, code)
	}
}

// source is a group that something is sent to for as long as the test lasts.
func source(t *testing.T) (group string) {
	t.Helper()
	group = newGroup()
	sendNumbers(t, group, "1M")
	return group
}

// numbered is what a source sends.
var numbered = clip{name: "numbered", codecs: []string{"h264"}}

// runAs is run with an alias for the listener.
func runAs(t *testing.T, alias string, s settings) *product {
	t.Helper()
	s.user = freePort(t)
	s.args = append(s.args, "--listen", alias+"="+s.user)
	return run(t, s)
}

// What gws says when it has read its configuration again, and when it has not.
var (
	rereadLine = regexp.MustCompile(`(?m)^.*"configuration read again" role=gws.*$`)
	keptLine   = regexp.MustCompile(`(?m)^.*"configuration not read again.*$`)
)

// reload gives the product another configuration and waits until gws has it.
func (p *product) reload(config string) {
	p.t.Helper()
	p.reread(config, rereadLine)
}

// reread writes a configuration, sends HUP and returns the next line of the log that is so.
func (p *product) reread(config string, line *regexp.Regexp) (said string) {
	p.t.Helper()
	before := len(line.FindAllString(p.proc.Output(), -1))
	if err := os.WriteFile(p.config, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.proc.Signal(syscall.SIGHUP)
	testkit.Eventually(p.t, func() error {
		all := line.FindAllString(p.proc.Output(), -1)
		if len(all) <= before {
			return fmt.Errorf("no line like %s after HUP", line)
		}
		said = all[len(all)-1]
		return nil
	})
	return said
}

// childrenOf are the children of a process that have not ended.
func childrenOf(t *testing.T, pid int) (all []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if rest[0] != "Z" && rest[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
		}
	}
	return all
}

// helper is an authorization helper that a test writes: a program for the shell, whose $1
// is a directory of its own.
type helper struct {
	t   *testing.T
	dir string
}

func newHelper(t *testing.T, script string) *helper {
	t.Helper()
	h := &helper{t, t.TempDir()}
	if err := os.WriteFile(filepath.Join(h.dir, "helper.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// config is the part auth of a configuration with the helper, and with more keys of it,
// in braces.
func (h *helper) config(more string) string {
	return fmt.Sprintf("auth: {helper: [sh, %s/helper.sh, %[1]s], %s}\n", h.dir, more)
}

// lines are those of a file that helpers write.
func (h *helper) lines(name string) []string {
	text, _ := os.ReadFile(filepath.Join(h.dir, name)) // none yet is fine
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// await waits until the file has n lines.
func (h *helper) await(name string, n int) (all []string) {
	h.t.Helper()
	testkit.Eventually(h.t, func() error {
		if all = h.lines(name); len(all) < n {
			return fmt.Errorf("helpers wrote %q to %s, want %d lines", all, name, n)
		}
		return nil
	})
	return all
}

// asked waits for n questions; there must not be more.
func (h *helper) asked(n int) []string {
	h.t.Helper()
	all := h.await("asked", n)
	if len(all) != n {
		h.t.Errorf("the helper was asked %q, want %d questions", all, n)
	}
	return all
}

// obedient writes down what it is asked in $1/asked, and lets in what has "yes" in it.
const obedient = `
while IFS= read -r line; do
	printf '%s\n' "$line" >>"$1/asked"
	case $line in
	*yes*) printf '%s 0\n' "${line%% *}" ;;
	*) printf '%s 210045\n' "${line%% *}" ;;
	esac
done
`

// gated waits with each answer until the test opens its gate, the FIFO $1/ID, and answers
// with what it reads there. It writes its questions down with its process id.
const gated = `
while read -r id rest; do
	echo "$id $$ $rest" >>"$1/asked"
	read -r result <"$1/$id"
	echo "$id $result"
done
`

// gates makes the FIFOs for the first n questions.
func (h *helper) gates(n int) {
	h.t.Helper()
	for i := range n {
		if err := syscall.Mkfifo(fmt.Sprintf("%s/A%d", h.dir, i+1), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}

// open lets the answer to question n be result. It waits until the question was asked.
func (h *helper) open(n int, result string) {
	h.t.Helper()
	testkit.Eventually(h.t, func() error {
		f, err := os.OpenFile(fmt.Sprintf("%s/A%d", h.dir, n), os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err // nobody reads yet
		}
		defer f.Close()
		_, err = f.WriteString(result + "\n")
		return err
	})
}

// flow and traffic are /report as a program reads it that comes from outside.
type flow struct {
	Bytes uint64 `json:"bytes" xml:"bytes,attr"`
	Rate  uint64 `json:"rate_bps" xml:"rate_bps,attr"`
}

type traffic struct {
	Made       string           `json:"made" xml:"made,attr"`
	Statistics bool             `json:"statistics" xml:"statistics,attr"`
	Channels   []trafficChannel `json:"channels" xml:"channel"`
}

type trafficChannel struct {
	Tag      string          `json:"tag" xml:"tag,attr"`
	Engine   string          `json:"engine" xml:"engine,attr"`
	Since    string          `json:"since" xml:"since,attr"`
	Received *flow           `json:"received" xml:"received"`
	Sent     *flow           `json:"sent" xml:"sent"`
	Clients  []trafficClient `json:"clients" xml:"client"`
}

type trafficClient struct {
	Tag  string `json:"tag" xml:"tag,attr"`
	Sent *flow  `json:"sent" xml:"sent"`
}

// traffic is a fresh report.
func (p *product) traffic() traffic {
	p.t.Helper()
	code, body := curl(p.t, p.adminURL("/report?format=json&cached=0"))
	var r traffic
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != 200 {
		p.t.Fatalf("/report: %d, %v\n%s", code, err, body)
	}
	return r
}

// channel finds a channel of the report.
func (r traffic) channel(tag string) (trafficChannel, error) {
	for _, c := range r.Channels {
		if c.Tag == tag {
			return c, nil
		}
	}
	return trafficChannel{}, fmt.Errorf("no channel %s in the report: %+v", tag, r.Channels)
}

// client finds a client of a channel of the report.
func (r traffic) client(channel, client string) (trafficClient, error) {
	ch, err := r.channel(channel)
	if err != nil {
		return trafficClient{}, err
	}
	for _, c := range ch.Clients {
		if c.Tag == client {
			return c, nil
		}
	}
	return trafficClient{}, fmt.Errorf("no client %s in the report: %+v", client, ch.Clients)
}

// drop tells the product to end a channel, or with client not empty that client, and
// returns the status of the answer.
func (p *product) drop(channel, client string) int {
	p.t.Helper()
	args := []string{"-G", "--data-urlencode", "channel=" + channel}
	if client != "" {
		args = append(args, "--data-urlencode", "client="+client)
	}
	code, _ := curl(p.t, append(args, p.adminURL("/drop"))...)
	return code
}

// curl runs curl for an answer that has an end, and returns its status and its body.
func curl(t *testing.T, args ...string) (code int, body string) {
	t.Helper()
	testkit.Need(t, "curl")
	args = append([]string{"-sS", "--globoff", "--max-time", "60", "-w", "\n%{http_code}"}, args...)
	cmd := exec.CommandContext(t.Context(), "curl", args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("curl %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	i := bytes.LastIndexByte(out, '\n')
	if code, err = strconv.Atoi(string(out[i+1:])); err != nil {
		t.Fatal(err)
	}
	return code, string(out[:i])
}

// accessLog is where a product of a test has its access log, and the key that says so.
func accessLog(t *testing.T) (path, config string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "access.log")
	return path, "access_log: {file: " + path + "}\n"
}

// accessLine is a line of the access log, as docs/access-log.md says.
var accessLine = regexp.MustCompile(`^(?P<addr>\S+) - (?P<user>\S+) \[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] ` +
	quotedAs("request") + ` (?P<status>\d{3}|-) (?P<bytes>\d+|-) ` + quotedAs("referer") + " " + quotedAs("agent") +
	` event=(?P<event>\w+) listener=` + quotedAs("listener") + " channel=" + quotedAs("channel") + " client=" + quotedAs("client") +
	" engine=" + quotedAs("engine") + ` duration=(?P<duration>\d+\.\d{3}) reason=` + quotedAs("reason") + "\n$")

func quotedAs(name string) string { return `"(?P<` + name + `>(?:[^"\\]|\\.)*)"` }

// entry is a line of the access log by its fields.
type entry map[string]string

// entriesOf reads an access log; each line must be one.
func entriesOf(t *testing.T, path string) (all []entry) {
	t.Helper()
	text, _ := os.ReadFile(path) // none yet is fine
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		m := accessLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a line of the access log: %q", line)
		}
		e := entry{}
		for i, name := range accessLine.SubexpNames() {
			e[name] = m[i]
		}
		all = append(all, e)
	}
	return all
}

// has says whether the fields have these values, name and value in turn.
func (e entry) has(fields ...string) bool {
	for pair := range slices.Chunk(fields, 2) {
		if e[pair[0]] != pair[1] {
			return false
		}
	}
	return true
}

// awaitEntry waits for an entry with these fields, name and value in turn; the last one counts.
func awaitEntry(t *testing.T, path string, fields ...string) (found entry) {
	t.Helper()
	testkit.Eventually(t, func() error {
		all := entriesOf(t, path)
		for _, e := range slices.Backward(all) {
			if e.has(fields...) {
				found = e
				return nil
			}
		}
		return fmt.Errorf("no entry with %q in the access log:\n%v", fields, all)
	})
	return found
}

// stopped ends a program as an operator does; it must go in good order.
func stopped(t *testing.T, proc *testkit.Proc) {
	t.Helper()
	proc.Signal(syscall.SIGTERM)
	if err := proc.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
	if line := alarming.FindString(proc.Output()); line != "" {
		t.Errorf("the program said %q", line)
	}
}

// exchangeBegin sends text as it is and returns the first line of what is answered.
func exchangeBegin(t *testing.T, addr, text string) string {
	t.Helper()
	c := say(t, addr, text)
	defer c.Close()
	line, _ := bufio.NewReader(c).ReadString('\n') // none is told by whoever asks
	return line
}
