package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// originScenarios are the cells of `make bench-origin`.
func originScenarios() []*scenario {
	files := func(name, about, file string, least float64, field func(string, string) ([]contestant, error), args ...string) *scenario {
		s := &scenario{name: name, about: about, clients: 32, cell: &cell{web: true, contestants: field, measure: filesBy(file, args...)}}
		if least > 0 {
			s.targets = []target{
				{figure: fileRate, limit: least, against: peerNginx, atLeast: true},
				{figure: filePerCPU, limit: least, against: peerNginx, atLeast: true},
			}
		}
		return s
	}
	return named([]*scenario{
		files("origin-100k", "origin: files of 100 kB, 32 connections (h2load)", smallFile, 0.55, filesOf, "--h1"),
		files("origin-1m", "the same, 1 MB", largeFile, 0.95, filesOf, "--h1"),
		files("origin-memory-100k", "the same, 100 kB, sluice's from its memory store", smallFile, 0.55, memoriesOf, "--h1"),
		files("origin-memory-1m", "the same, 1 MB", largeFile, 0.95, memoriesOf, "--h1"),
		files("origin-h2", "files of 100 kB over HTTP/2 without TLS", smallFile, 0, framesOf),
		{
			name: "origin-chunks", about: "one reader of an upload of 100 chunks of 1.2 kB, one each 20 ms", clients: 1,
			cell: &cell{web: true, contestants: originsOf, measure: (*scenario).chunks, most: 5},
			targets: []target{
				{figure: chunkP95, limit: 1}, {figure: chunkFirst, limit: 10}, {figure: chunkEnd, limit: 50},
			},
		},
		{
			name: "origin-crowd", about: "1000 readers of an upload (-clients: others), a chunk each 50 ms", clients: 1000,
			cell: &cell{web: true, contestants: originsOf, measure: (*scenario).crowded, alone: true, most: 3},
			targets: []target{
				{figure: takenP99, limit: 20}, {figure: goroutinesLeft, limit: 0}, {figure: filesLeft, limit: 0},
			},
		},
		{
			name: "origin-flood", about: "eight clients upload segments without end to a memory store of 64 MiB", clients: 8,
			cell:    &cell{web: true, contestants: floodedOf, measure: (*scenario).flood, alone: true, most: 2},
			targets: []target{{figure: storeMost, limit: floodLimit}},
		},
	})
}

// originCommand is sluice as an origin; one address has as many connections as it wants.
func originCommand(sluice string, args ...string) []string {
	return append([]string{
		sluice, "origin", "-q", "--run-dir", "{DIR}", "--listen", "127.0.0.1:{PORT}", "--admin", "127.0.0.1:{ADMIN}", "--maxc", "0", "--maxp", "0",
	}, args...)
}

// objects are the files of those who have them in a directory.
func objects() map[string]string {
	return map[string]string{smallFile: fileOf(smallSize), largeFile: fileOf(largeSize)}
}

// besideServers are a server, http.ServeContent as the yardstick, and nginx.
func besideServers(self string, first contestant, protocol string, args ...string) ([]contestant, error) {
	nginx := objects()
	nginx["nginx.conf"] = nginxFiles(protocol)
	return []contestant{
		first,
		{
			name: "ServeContent", yardstick: true, files: objects(),
			command: append([]string{self, wordFiles, "-listen", "127.0.0.1:{PORT}", "-dir", "{DIR}"}, args...),
		},
		{name: peerNginx, files: nginx, command: []string{sbin("nginx"), "-c", "{DIR}/nginx.conf"}},
	}, nil
}

// inDirectory is an origin that serves its directory.
func inDirectory(sluice string) contestant {
	return contestant{name: "sluice", files: objects(), command: originCommand(sluice, "--wdir", "{DIR}", "{DIR}")}
}

// inMemory is an origin with a memory store.
func inMemory(name, sluice string, args ...string) contestant {
	return contestant{name: name, command: originCommand(sluice, append(args, "--wdir", "gmem", "gmem")...)}
}

func filesOf(self, sluice string) ([]contestant, error) {
	return besideServers(self, inDirectory(sluice), "")
}

func memoriesOf(self, sluice string) ([]contestant, error) {
	return besideServers(self, inMemory("sluice", sluice), "", "-memory")
}

func framesOf(self, sluice string) ([]contestant, error) {
	return besideServers(self, inDirectory(sluice), "http2")
}

// originsOf are sluice with either store.
func originsOf(_, sluice string) ([]contestant, error) {
	return []contestant{inDirectory(sluice), inMemory("memory store", sluice)}, nil
}

// floodLimit is that of the memory store which is flooded, in MiB.
const floodLimit = 64

func floodedOf(_, sluice string) ([]contestant, error) {
	return []contestant{inMemory("sluice", sluice, "--memory", fmt.Sprintf("%dMiB", floodLimit), "--max-cache-segs", "1000000")}, nil
}

// wordFiles starts the yardstick of files: http.ServeContent and nothing else.
const wordFiles = "files"

// openText is a file in memory.
type openText struct{ *strings.Reader }

// Close implements io.Closer.
func (openText) Close() error { return nil }

// runFiles is the command `bench files`: it serves a directory until it is killed.
func runFiles(args []string) error {
	flags := flag.NewFlagSet(wordFiles, flag.ContinueOnError)
	listen := flags.String("listen", "", "address and port")
	dir := flags.String("dir", "", "directory")
	memory := flags.Bool("memory", false, "files are read at the start, and sent from memory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	open := func(name string) (io.ReadSeekCloser, error) { return os.Open(filepath.Join(*dir, name)) }
	if *memory {
		texts := objects()
		open = func(name string) (io.ReadSeekCloser, error) {
			if text, ok := texts[name]; ok {
				return openText{strings.NewReader(text)}, nil
			}
			return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
		}
	}
	s := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	began := time.Now()
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := open(filepath.Base(r.URL.Path))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "video/iso.segment")
		http.ServeContent(w, r, "", began, f)
	})
	return s.ListenAndServe()
}

// loadLength is how long h2load asks, and loadPatience when it is given up.
const (
	loadLength   = "1"
	loadPatience = 20 * time.Second
)

// filesBy measures a server that is asked for one object over and over.
func filesBy(file string, args ...string) func(*scenario, context.Context, *rig, *server) (measured, error) {
	return func(s *scenario, ctx context.Context, _ *rig, server *server) (measured, error) {
		if len(args) > 0 { // of HTTP/1: any other has its files
			if err := provide(ctx, server, file); err != nil {
				return nil, err
			}
		}
		pids, err := server.pids()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, loadPatience)
		defer cancel()
		words := append([]string{"-c", fmt.Sprint(s.clients), "-t", "1", "-D", loadLength}, args...)
		cmd := exec.CommandContext(ctx, "h2load", append(words, "http://"+server.addr.String()+"/"+file)...)
		before, err := read(pids)
		if err != nil {
			return nil, err
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("h2load (of nghttp2-client): %w: %.300s", err, out)
		}
		after, err := read(pids)
		if err != nil {
			return nil, err
		}
		return fileFigures(string(out), before, after)
	}
}

func fileFigures(said string, before, after reading) (measured, error) {
	l, err := parseLoad(said)
	if err != nil {
		return nil, err
	}
	if l.bad > 0 || l.good == 0 {
		return nil, fmt.Errorf("h2load: %d answers were good, %d requests were not: %.500s", l.good, l.bad, said)
	}
	cpu, span := float64(after.cpu-before.cpu), after.time-before.time
	return measured{
		fileRate: l.rate, fileCPU: cpu / 1e3 / float64(l.good), filePerCPU: float64(l.good) / (cpu / 1e9),
		serverBusy: 100 * busyShare(after.server-before.server, span), loadBusy: 100 * busyShare(after.load-before.load, span),
	}, nil
}

// provide uploads an object that a server does not have.
func provide(ctx context.Context, server *server, file string) error {
	if accepts(ctx, server.addr, "/"+file) {
		return nil
	}
	status, err := upload(ctx, server, file, objects()[file])
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return fmt.Errorf("upload %s: %w", file, err)
	}
	return nil
}

// upload puts an object on a connection of its own, and returns the status of the answer.
func upload(ctx context.Context, server *server, name, content string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+server.addr.String()+"/"+name, strings.NewReader(content))
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// ask gets a page of the admin port.
func (s *server) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin.String()+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, resp.StatusCode)
	}
	return text, errors.Join(err, resp.Body.Close())
}
