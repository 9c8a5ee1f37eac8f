package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
	"sluice/internal/uri"
)

// originWish is what a command line wants of an origin, besides settings. Which mode it is follows GPAC's httpout: directories
// come first, then the mode that is named, and what is left is a sink.
type originWish struct {
	dirs    []string // to be read
	inputs  []string // sources, or files; with push directories, too
	outputs []string // paths or URLs, one for each input
	mode    hmode
	ports   portList
	host    string // address or network interface to listen at; "" = all
	post    bool
	keep    bool
	plain   bool // no_z
}

// hmode is how httpout is told its mode.
type hmode string

const (
	modeDefault hmode = "default"
	modePush    hmode = "push"
	modeSource  hmode = "source"
)

// Set implements pflag.Value.
func (m *hmode) Set(text string) error {
	switch hmode(text) {
	case modeDefault, modePush, modeSource:
		*m = hmode(text)
		return nil
	}
	return fmt.Errorf("bad value %q: want default, push or source", text)
}

// String implements pflag.Value.
func (m *hmode) String() string { return string(cmp.Or(*m, modeDefault)) }

// Type implements pflag.Value.
func (m *hmode) Type() string { return "MODE" }

// portList is one port or two.
type portList []string

// Set implements pflag.Value.
func (p *portList) Set(text string) error {
	*p = nil
	if text == "0" { // httpout's default
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		if n, err := strconv.ParseUint(one, 10, 16); err != nil || n == 0 && strings.Contains(text, ",") {
			return fmt.Errorf("bad port %q: want 1 to 65535", one)
		}
		*p = append(*p, one)
	}
	if len(*p) > 2 {
		return fmt.Errorf("%d ports: want one, or two of which the second is that of TLS", len(*p))
	}
	return nil
}

// String implements pflag.Value.
func (p *portList) String() string { return strings.Join(*p, ",") }

// Type implements pflag.Value.
func (p *portList) Type() string { return "PORTS" }

// said says whether a mode follows from it: then nobody looks for a configuration file.
func (w *originWish) said() bool {
	return len(w.dirs)+len(w.inputs)+len(w.outputs) > 0 || w.mode == modePush || w.mode == modeSource
}

// apply makes it part of the configuration. The warnings are what of it is left out.
func (w *originWish) apply(c *config.Config) (warnings []string, err error) {
	o := &c.Origin
	for _, dir := range w.dirs {
		dir, err := directory(dir)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(o.ReadDirs, dir) {
			o.ReadDirs = append(slices.Clip(o.ReadDirs), dir)
		}
	}
	if w.plain {
		o.Compress = 0
	}
	mode := cmp.Or(w.mode, modeDefault)
	directories := len(o.ReadDirs) > 0 || o.WriteDir != ""
	if directories && mode != modeDefault {
		warnings = append(warnings, "--hmode "+string(mode)+" beside directories: they are served")
		mode = modeDefault
	}
	switch {
	case mode == modePush:
		if len(w.ports) > 0 || w.host != "" {
			warnings = append(warnings, "--port and --ifce beside --hmode push: it listens nowhere")
		}
		return warnings, w.push(c)
	case mode == modeSource && len(w.inputs) > 0:
		return warnings, errors.New("--hmode source has its channels from uploads: want no -i")
	case mode == modeSource:
		o.Sources = []string{"/"}
	}
	outputs, err := w.places()
	if err != nil {
		return warnings, err
	}
	if err := w.listen(c, outputs); err != nil {
		return warnings, err
	}
	return warnings, w.channels(c, outputs, directories)
}

// likeGPAC finds options as gpac has them: rdirs=live:port=8080.
var likeGPAC = regexp.MustCompile(`(?:^|:)([a-z_]+)=`)

// directory is the absolute path of one that is named. What looks like an option is an error, for a directory that is not there is made.
func directory(dir string) (string, error) {
	if dir == "true" || dir == "false" {
		return "", fmt.Errorf("%q is not read as a directory: say --OPTION=%[1]s of an option, or ./%[1]s", dir)
	}
	path, err := absolute(dir)
	if err != nil {
		return "", err
	}
	if option := likeGPAC.FindStringSubmatch(dir); option != nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%q is not read as a directory: an option is said as --%s VALUE; else ./%[1]s", dir, option[1])
		}
	}
	return path, nil
}

// output is where an input goes in this origin.
type output struct {
	path   string // with a slash in front; "" = none
	port   string // "" = none is said
	secure bool   // of https
}

// places reads the outputs.
func (w *originWish) places() (list []output, err error) {
	for _, text := range w.outputs {
		one := output{path: text}
		if strings.Contains(text, "://") {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
				return nil, fmt.Errorf("bad --dst %q: want a path such as /live.ts, or http://HOST:PORT/PATH", uri.Shown(uri.Mask(text)))
			}
			one = output{path: u.Path, port: u.Port(), secure: u.Scheme == "https"}
		}
		if one.path = path.Clean("/" + one.path); one.path == "/" {
			one.path = ""
		}
		list = append(list, one)
	}
	return list, nil
}

// channels adds the inputs: sinks, or records where there are directories.
func (w *originWish) channels(c *config.Config, outputs []output, directories bool) error {
	group := "origin.sinks"
	if directories {
		group = "origin.records"
	}
	if err := w.match(len(outputs)); err != nil {
		return err
	}
	for i, input := range w.inputs {
		channel, err := sourceOf(input)
		if err != nil {
			return err
		}
		out := outputs[i].path
		if out == "" {
			return fmt.Errorf("-i %s: --dst has no path; want one such as /live.ts", uri.Mask(input))
		}
		pairs := []string{"channel", channel, "path", out}
		if !directories && c.Origin.Type != "" {
			pairs = append(pairs, "type", c.Origin.Type)
		}
		if err := c.Add(group, strconv.Itoa(i+1), pairs...); err != nil {
			return fmt.Errorf("-i %s --dst %s: %w", uri.Mask(input), uri.Mask(w.outputs[i]), err)
		}
	}
	return nil
}

// match wants as many outputs as there are inputs; without inputs one may say the port.
func (w *originWish) match(outputs int) error {
	if len(w.inputs) == 0 && outputs <= 1 || len(w.inputs) == outputs {
		return nil
	}
	return fmt.Errorf("%d inputs (-i) and %d places where they go (--dst): want one of each", len(w.inputs), outputs)
}

// push adds uploads of the inputs to other servers; what httpout says of all its requests holds for them.
func (w *originWish) push(c *config.Config) error {
	if len(w.inputs) == 0 {
		return errors.New("--hmode push wants what is uploaded (-i) and where to (--dst http://…)")
	}
	if err := w.match(len(w.outputs)); err != nil {
		return err
	}
	o := &c.Origin
	for i, input := range w.inputs {
		from, err := pushedOf(input)
		if err != nil {
			return err
		}
		if !strings.Contains(w.outputs[i], "://") {
			return fmt.Errorf("--dst %s: --hmode push wants a whole URL, such as http://target.example:8080/live.ts", w.outputs[i])
		}
		pairs := []string{
			"from", from, "to", w.outputs[i], "timeout", o.Idle.String(),
			"post", strconv.FormatBool(w.post), "ka", strconv.FormatBool(w.keep), "cte", strconv.FormatBool(!o.Whole),
		}
		if err := c.Add("origin.push", strconv.Itoa(i+1), pairs...); err != nil {
			return fmt.Errorf("-i %s --dst %s: %w", uri.Mask(input), uri.Mask(w.outputs[i]), err)
		}
		o.PushList[len(o.PushList)-1].Headers = o.Headers
	}
	return nil
}

// sourceOf is the source that an input is: a channel, a URL, or a file.
func sourceOf(input string) (string, error) {
	if strings.HasPrefix(input, "$") {
		return input, nil
	}
	if strings.Contains(input, "://") {
		if _, err := uri.ParseSource(input); err != nil {
			return "", fmt.Errorf("-i: %w", err)
		}
		return input, nil
	}
	file, err := filepath.Abs(input)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", fmt.Errorf("-i %s: %w (a source is a URL such as udp://239.1.1.1:5000, or a file)", input, err)
	case info.IsDir():
		return "", fmt.Errorf("-i %s is a directory: name it without -i to serve it, or with --hmode push to upload it", input)
	}
	return uri.End{Scheme: uri.File, Path: file}.String(), nil
}

// pushedOf is sourceOf for what is uploaded, which may be a directory.
func pushedOf(input string) (string, error) {
	if info, err := os.Stat(input); err == nil && info.IsDir() {
		return filepath.Abs(input)
	}
	return sourceOf(input)
}

// listen says where the origin listens, if that is said: a port of an output wins over --port.
func (w *originWish) listen(c *config.Config, outputs []output) error {
	o := &c.Origin
	certified := c.OriginTLS().Certificate != ""
	port, wantsTLS, err := placesPort(outputs)
	if err != nil {
		return err
	}
	if wantsTLS && !certified {
		return errors.New("--dst https://… wants a certificate: --cert and --pkey")
	}
	ports := []string(w.ports)
	if port != "" {
		ports = []string{port}
	}
	secure := o.Cert != "" || certified && (wantsTLS || len(ports) == 2)
	if len(ports) == 2 && !secure {
		return errors.New("two ports are for HTTP and for TLS: want --cert and --pkey as well")
	}
	if len(ports) == 0 && w.host == "" && !wantsTLS {
		return nil
	}
	if len(o.Listen) > 0 && c.From("origin.listen").Flag != "" {
		return errors.New("--listen says all of it: want no --port, no --ifce and no port in --dst beside it")
	}
	host, err := addressOf(w.host)
	if err != nil {
		return err
	}
	switch {
	case len(ports) > 0:
	case secure:
		ports = []string{config.OriginTLSPort}
	default:
		ports = []string{config.OriginPort}
	}
	o.Listen = nil
	for i, port := range ports {
		o.Listen = append(o.Listen, config.Door{Address: net.JoinHostPort(host, port), TLS: secure && i == len(ports)-1})
	}
	return nil
}

// placesPort is the port that the outputs name, and whether one of them is of https.
func placesPort(outputs []output) (port string, secure bool, err error) {
	for _, out := range outputs {
		if port != "" && out.port != "" && out.port != port {
			return "", false, fmt.Errorf("--dst names the ports %s and %s: one origin has one", port, out.port)
		}
		port, secure = cmp.Or(port, out.port), secure || out.secure
	}
	return port, secure, nil
}

// addressOf is the address of a network interface, or the address that it is.
func addressOf(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String(), nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return "", fmt.Errorf("--ifce %s: %w (want an address, or an interface as `ip link` names it)", name, err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return "", fmt.Errorf("--ifce %s: %w", name, err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && (p.Addr().Is4() || p.Addr().IsGlobalUnicast()) {
			return p.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("--ifce %s: the interface has no address", name)
}

// portOf is the port of HOST:PORT.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
