package testkit

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// buildGuest writes the initramfs of a machine: this package's test binary as its first
// program, and modules in the order in which they are to be loaded.
func buildGuest(t *testing.T, path string, kernel vmKernel, modules []string) error {
	binary := filepath.Join(t.TempDir(), "init")
	build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-tags", "e2e", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the test for the virtual machine: %w\n%s", err, out)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	load, err := moduleFiles(kernel.modules, modules)
	if err != nil {
		return err
	}
	var a cpio
	for _, dir := range []string{"dev", "modules", "proc", "sys", "tmp"} {
		a.add(dir, 0o040755, 0, nil)
	}
	a.add("dev/console", 0o020600, 5<<8|1, nil)
	a.add("init", 0o100755, 0, program)
	for i, module := range load {
		a.add(fmt.Sprintf("modules/%02d.ko", i), 0o100644, 0, module)
	}
	a.add("TRAILER!!!", 0, 0, nil)
	return os.WriteFile(path, a.b, 0o600)
}

// cpio is an archive as the kernel takes it (initramfs buffer format, "newc").
type cpio struct {
	b     []byte
	files int
}

// add appends a file, or a device with its numbers in one: major<<8 | minor.
func (a *cpio) add(name string, mode, device int, data []byte) {
	a.files++
	a.b = append(a.b, "070701"...)
	for _, field := range []int{a.files, mode, 0, 0, 1, 0, len(data), 0, 0, device >> 8, device & 0xff, len(name) + 1, 0} {
		a.b = fmt.Appendf(a.b, "%08x", field)
	}
	a.b = append(append(a.b, name...), 0)
	a.pad()
	a.b = append(a.b, data...)
	a.pad()
}

func (a *cpio) pad() {
	for len(a.b)%4 != 0 {
		a.b = append(a.b, 0)
	}
}

// moduleFiles reads modules and all that they need, each after those that it needs.
func moduleFiles(dir string, names []string) (files [][]byte, err error) {
	paths, err := modulePaths(dir)
	if err != nil {
		return nil, err
	}
	var done []string
	var add func(name string) error
	add = func(name string) error {
		if slices.Contains(done, name) {
			return nil
		}
		done = append(done, name)
		path, ok := paths[name]
		if !ok {
			return fmt.Errorf("the kernel has no module %s in %s", name, dir)
		}
		module, err := readModule(path)
		if err != nil {
			return err
		}
		needs, err := moduleNeeds(module)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, other := range needs {
			if err := add(other); err != nil {
				return err
			}
		}
		files = append(files, module)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// modulePaths finds the modules below dir by their names.
func modulePaths(dir string) (map[string]string, error) {
	paths := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		name, _, module := strings.Cut(filepath.Base(path), ".ko")
		if module {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return paths, err
}

// readModule reads a module, which newer releases compress.
func readModule(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	out, err := exec.Command("xz", "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	return out, nil
}

// moduleNeeds are the modules that a module says it depends on.
func moduleNeeds(module []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("it has no .modinfo: %w", io.ErrUnexpectedEOF)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(line, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
