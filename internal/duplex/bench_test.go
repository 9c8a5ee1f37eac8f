package duplex

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/flow"
)

// endsEnv has the test binary be the clients and the remote of a benchmark: what they
// cost is not counted.
const endsEnv = "SLUICE_TEST_DUPLEX_ENDS"

func TestMain(m *testing.M) {
	if how := os.Getenv(endsEnv); how != "" {
		if err := ends(strings.Fields(how)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// ends are sessions of "ADDRESS NUMBER idle" or "ADDRESS NUMBER bulk", or "ADDRESS NUMBER connect":
// then each ends and begins anew. They say where the remote is, wait for a line, say "ready" when
// all have carried a byte, and after each further line how many bytes the clients have read.
func ends(how []string) error {
	remote, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer remote.Close()
	fmt.Println(remote.Addr())
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	n, err := strconv.Atoi(how[1])
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var read int64
	count := counter(func(n int) {
		mu.Lock()
		defer mu.Unlock()
		read += int64(n)
	})
	if how[2] == "connect" {
		go echo(remote)
		for range n {
			go connects(how[0], count)
		}
		n = 0
	}
	for range n {
		c, err := tls.Dial("tcp", how[0], endTLS())
		if err != nil {
			return err
		}
		defer c.Close()
		r, err := remote.Accept()
		if err != nil {
			return err
		}
		defer r.Close()
		r.Write([]byte{0})
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return err
		}
		if how[2] != "bulk" {
			continue
		}
		go io.Copy(r, zeros{})
		go io.CopyBuffer(count, struct{ io.Reader }{c}, make([]byte, 64<<10))
	}
	fmt.Println("ready")
	for lines.Scan() {
		mu.Lock()
		fmt.Println(read)
		mu.Unlock()
	}
	return nil
}

// endTLS has ends agree on what all peers of the relay know, so that they can be compared.
func endTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
}

// echo answers one byte to each that connects.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// connects asks for a byte again and again, each time in a session of its own.
func connects(addr string, count counter) {
	one := make([]byte, 1)
	for {
		c, err := tls.Dial("tcp", addr, endTLS())
		if err != nil {
			return
		}
		c.Write(one)
		if n, err := io.ReadFull(c, one); err == nil {
			count(n)
		}
		c.Close()
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

type counter func(n int)

func (c counter) Write(b []byte) (int, error) { c(len(b)); return len(b), nil }

// benchTLS is shared, as that of a listener is.
var benchTLS = serverTLS()

// bench is a group whose sessions lead to ends.
type bench struct {
	b     *testing.B
	group *Group
	lines *bufio.Scanner
	in    io.Writer
}

// benchDesk only counts.
type benchDesk struct{ *desk }

func (benchDesk) Connected(*flow.Session) {}
func (benchDesk) Close(*flow.Session)     {}

func newBench(b *testing.B, sessions int, how string) *bench {
	x := &bench{b: b, group: New(benchDesk{}, 0)}
	l := listenTCP(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", endsEnv, l.Addr(), sessions, how))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	x.lines, x.in = bufio.NewScanner(out), in
	addr, err := flow.ParseAddr(x.line())
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { x.serve(c, addr) })
		}
	})
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
		l.Close()
		all.Wait()
		x.group.Wait()
	})
	return x
}

func (x *bench) serve(c net.Conn, to flow.Addr) {
	t, err := Server(x.b.Context(), c, benchTLS)
	if err != nil {
		return // the ends have gone
	}
	s := &flow.Session{Listener: &flow.Listener{NoDelay: true, Idle: time.Hour, HalfClose: time.Hour}}
	x.group.Start(x.b.Context(), s, t, flow.Plan{Step: flow.Dial, Target: &flow.Target{Addr: to}})
}

func (x *bench) line() string {
	if !x.lines.Scan() {
		x.b.Fatal("the ends have gone")
	}
	return x.lines.Text()
}

// ask writes a line to the ends and reads their answer.
func (x *bench) ask() string {
	fmt.Fprintln(x.in)
	return x.line()
}

// BenchmarkIdle is what a session with TLS on the client's side costs that has carried a byte and waits.
func BenchmarkIdle(b *testing.B) {
	const sessions = 5000
	raiseLimit(b)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rss := residentKiB(b)
	x := newBench(b, sessions, "idle")
	x.ask()
	time.Sleep(2 * restAfter)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := func(now, before uint64) float64 { return float64(now-before) / 1024 / sessions }
	b.ReportMetric(each(after.HeapInuse, before.HeapInuse), "KiB-heap/session")
	b.ReportMetric(each(after.StackInuse, before.StackInuse), "KiB-stack/session")
	b.ReportMetric(each(after.Sys, before.Sys), "KiB-sys/session")
	b.ReportMetric((residentKiB(b)-rss)/sessions, "KiB-rss/session")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkConnect is what a session costs that carries a byte there and back, in CPU time of this
// process.
func BenchmarkConnect(b *testing.B) {
	x := newBench(b, 8, "connect")
	x.ask()
	begun, cpu := x.read(), processorTime(b)
	time.Sleep(3 * time.Second)
	sessions := x.read() - begun
	b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/float64(sessions), "µs/session")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBulk is what a gigabyte to clients with TLS costs, in CPU time of this process.
func BenchmarkBulk(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			x := newBench(b, n, "bulk")
			x.ask()
			begun, cpu := x.read(), processorTime(b)
			time.Sleep(3 * time.Second)
			bytes := x.read() - begun
			b.ReportMetric(float64((processorTime(b)-cpu).Milliseconds())/(float64(bytes)/1e9), "ms/GB")
			b.ReportMetric(float64(bytes)*8/3/1e9, "Gbit/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (x *bench) read() int64 {
	n, err := strconv.ParseInt(x.ask(), 10, 64)
	if err != nil {
		x.b.Fatal(err)
	}
	return n
}

func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// raiseLimit makes room for descriptors, here and in the ends.
func raiseLimit(b *testing.B) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		b.Fatal(err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		b.Fatal(err)
	}
}

func residentKiB(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1024
}
