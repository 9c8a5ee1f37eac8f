package logs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// asWriter makes the test binary a process that writes a log; its arguments say which.
const asWriter = "SLUICE_TEST_WRITER"

func TestMain(m *testing.M) {
	if os.Getenv(asWriter) != "" {
		write := writeLog
		if os.Args[2] == "limited" {
			write = writeLimited
		}
		if err := write(os.Args[1], os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// manyLines is how many lines a writer of the tests writes.
const manyLines = 2000

// sharedLog is the file that several of them write.
func sharedLog(path string) FileConfig {
	return FileConfig{Path: path, MaxSize: 8 << 10, MaxFiles: 1000, Time: TimeNone}
}

// writeLog writes numbered lines and rotates when it gets USR1.
func writeLog(path, name string) error {
	f, err := OpenFile(sharedLog(path))
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 16)
	signal.Notify(asked, syscall.SIGUSR1)
	fmt.Println("ready", name)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		for range asked {
			if err := f.Rotate(); err != nil {
				failed = err
			}
			fmt.Println("rotated", name)
		}
	})
	log := New(f, name, slog.LevelInfo)
	for i := range manyLines {
		log.Info("line", "number", i)
	}
	fmt.Println("written", name)
	if _, err := os.Stdin.Read(make([]byte, 1)); err == nil { // until the test closes it
		return fmt.Errorf("nothing was expected")
	}
	signal.Stop(asked)
	close(asked)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return f.Close()
}

// writeLimited writes three lines of which the limit on files lets two and a half pass,
// and one more without it.
func writeLimited(path, _ string) error {
	f, err := OpenFile(FileConfig{Path: path, Time: TimeNone})
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	limit := was
	limit.Cur = 12_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	line := []byte(strings.Repeat("x", 5000) + "\n")
	for range 3 {
		_, err = f.Write(line)
	}
	if !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("beyond the limit: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	if _, err := f.Write([]byte("room again\n")); err != nil {
		return err
	}
	return f.Close()
}
