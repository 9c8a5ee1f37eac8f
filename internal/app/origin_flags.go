package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/internal/config"
)

// originFlags is the command line of an origin.
type originFlags struct {
	*settings
	wish     originWish
	accepted map[string]*string // options of httpout that change nothing here
	warnings []string           // what of the command line is left out; of the last load
}

// The ways to say something of httpout's that is no setting of ours.
var uselessOrigin = []string{"ext", "block_size", "blockio"}

// addOriginFlags gives cmd the options of an origin: each key below origin, what httpout has besides, and what every role has.
func addOriginFlags(cmd *cobra.Command) *originFlags {
	o := &originFlags{settings: &settings{role: config.OriginRole}, accepted: map[string]*string{}}
	f := cmd.Flags()
	f.SortFlags = false
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	w := &o.wish
	f.StringArrayVarP(&w.inputs, "input", "i", nil, "channel to send: a `SOURCE` (URL or file), $NAME of the configuration, with --hmode push a directory, too")
	f.StringArrayVar(&w.outputs, "dst", nil, "where the input goes: a `PATH` here, a URL of this machine, or with --hmode push of another")
	f.Var(&w.mode, "hmode", "default, push (upload the inputs) or source (uploads are channels)")
	f.Var(&w.ports, "port", "`PORTS` to listen at; of two the second is that of TLS (default 8080, 8443 with TLS)")
	f.StringVar(&w.host, "ifce", "", "address or name of the network `INTERFACE` to listen at (default: all)")
	for _, key := range config.Keys() {
		if name, ok := strings.CutPrefix(key, "origin."); ok {
			o.addKey(f, key, name)
		}
	}
	f.VarPF(truthFlag{&w.post}, "post", "", "with --hmode push: POST, not PUT").NoOptDefVal = "true"
	w.keep = true
	f.VarPF(truthFlag{&w.keep}, "ka", "", "with --hmode push: go on after a failure").NoOptDefVal = "true"
	f.VarPF(truthFlag{&w.plain}, "no-z", "", "the same as --zmax 0").NoOptDefVal = "true"
	for _, name := range uselessOrigin {
		o.accepted[name] = f.String(name, "", "accepted, without effect")
	}
	f.Lookup("blockio").NoOptDefVal = "true"
	o.add(f, "listen", about{flag: "viewers", arg: "ADDR", usage: "with --hmode source: user port of gws, where the channels are watched"})
	o.add(f, "pace", about{arg: "PACE", usage: "of a file (-i): pcr, frame, a bit rate such as 128k, or none, as fast as it is taken; auto is by what is in it, and none where it is written or pushed"})
	o.add(f, "growth", about{arg: "TIME", usage: "how long the end of a file (-i) is waited at for more"}).convert = seconds
	f.Lookup("growth").DefValue = "0s"
	addCommon(o.settings, cmd, "log.file", "pid_file")
	f.Lookup("run-dir").Usage = "with channels, `DIR` of locks and sockets (default: /run/sluice-origin-PORT, or one of the user)"
	return o
}

// truthFlag is a flag that takes true and false as httpout does.
type truthFlag struct{ to *bool }

// Set implements pflag.Value.
func (v truthFlag) Set(text string) error {
	text, err := truth(text)
	if err == nil {
		*v.to = text == "true"
	}
	return err
}

// String implements pflag.Value.
func (v truthFlag) String() string { return strconv.FormatBool(v.to != nil && *v.to) }

// Type implements pflag.Value.
func (truthFlag) Type() string { return boolArg }

// addKey adds the flag of a key of the section origin.
func (o *originFlags) addKey(f *pflag.FlagSet, key, name string) {
	what, text := config.About(key)
	one := about{flag: strings.NewReplacer(".", "-", "_", "-").Replace(name), arg: argOf(what), usage: briefly(text)}
	if one.arg == argWord {
		one.usage += "; one of " + what
	}
	o.add(f, key, one).convert = httpoutText(key, what)
}

// briefly is the first sentence of a text, as help has it.
func briefly(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	text = strings.ReplaceAll(strings.TrimSuffix(text, "."), "`", "")
	first, size := utf8.DecodeRuneInString(text)
	if word, _, _ := strings.Cut(text[size:], " "); strings.ContainsFunc(word, unicode.IsUpper) {
		return text // URL, Cache-Control
	}
	return string(unicode.ToLower(first)) + text[size:]
}

// argWord is what help calls one of several words, which it names.
const argWord = "WORD"

// argOf is what help calls a value of a type.
func argOf(what string) string {
	switch {
	case isBool(what):
		return boolArg
	case strings.HasPrefix(what, "list of "):
		return "LIST"
	case strings.Contains(what, ", "):
		return argWord
	}
	return strings.ToUpper(strings.ReplaceAll(what, " ", "-"))
}

func isBool(what string) bool { return what == "true or false" || what == "false, true" }

// httpoutText makes of a text, as httpout takes it, that of a key: times are in seconds and sizes in bytes where they
// have no unit, paths are of the present directory. nil = as it is.
func httpoutText(key, what string) func(string) (string, error) {
	switch {
	case key == "origin.rdirs":
		return orNone(absolutePaths)
	case key == "origin.wdir":
		return orNone(absolute)
	case isBool(what):
		return truth
	case what == "time":
		return seconds
	case what == "size":
		return sizeOf
	}
	return nil
}

// absolutePaths makes a list of paths, which has commas between, one of absolute paths.
func absolutePaths(text string) (string, error) {
	var list []string
	for path := range strings.SplitSeq(text, ",") {
		path, err := absolute(path)
		if err != nil {
			return "", err
		}
		list = append(list, path)
	}
	return strings.Join(list, "\n"), nil
}

// absolute is the absolute path of a directory, or gmem.
func absolute(path string) (string, error) {
	switch path {
	case "":
		return "", errors.New("want a directory, got an empty name (the present one is called .)")
	case config.GMem:
		return path, nil
	}
	return filepath.Abs(path)
}

// orNone leaves an empty text as it is.
func orNone(convert func(string) (string, error)) func(string) (string, error) {
	return func(text string) (string, error) {
		if text == "" {
			return "", nil
		}
		return convert(text)
	}
}

// truth is how httpout says yes and no.
func truth(text string) (string, error) {
	switch strings.ToLower(text) {
	case "1", "yes", "true", "on":
		return "true", nil
	case "0", "no", "false", "off":
		return "false", nil
	}
	return "", fmt.Errorf("bad value %q: want true or false", text)
}

// seconds is a time whose unit may be missing.
func seconds(text string) (string, error) { return withUnit(text, "s"), nil }

// withUnit adds a unit to a bare number.
func withUnit(text, unit string) string {
	if _, err := strconv.ParseUint(text, 10, 63); err == nil && strings.Trim(text, "0") != "" {
		return text + unit
	}
	if text == "0" && unit == "s" {
		return "0s"
	}
	return text
}

// sizeOf is a size whose unit may be missing, or k, M or G as in httpout: thousands.
func sizeOf(text string) (string, error) {
	number := strings.TrimRight(text, "kKMG")
	if suffix := text[len(number):]; len(suffix) == 1 {
		return number + strings.ToUpper(suffix) + "B", nil
	}
	return withUnit(text, "B"), nil
}

// load is the configuration of the file, if one is wanted, with what the command line makes of it.
func (o *originFlags) load() (config.Config, error) {
	o.named = o.wish.said() || o.given("origin.rdirs") || o.given("origin.wdir")
	c, err := o.read()
	if err != nil {
		return c, err
	}
	if o.warnings, err = o.wish.apply(&c); err != nil {
		return c, err
	}
	for _, name := range uselessOrigin {
		if *o.accepted[name] != "" {
			o.warnings = append(o.warnings, "--"+name+" is accepted because httpout has it")
		}
	}
	if !c.HasOrigin() {
		return c, errNoOrigin
	}
	c.Relay = config.Default().Relay
	if c.HasOriginChannels() {
		o.withGWS(&c)
	}
	return c, c.Validate()
}

// withGWS settles what gws and the engine do beside this origin: they have users of their own only where somebody is to watch
// what is uploaded, or where the user ports carry the origin.
func (o *originFlags) withGWS(c *config.Config) {
	if len(c.Origin.Sources) == 0 && !c.Origin.UserPort {
		c.Listen = nil
	}
	if c.From("admin").String() == "default" {
		c.Admin.Address = "127.0.0.1:0"
	}
	if c.From("engines").String() == "default" {
		c.Engines = 1
	}
	if c.From("growth").String() == "default" {
		c.Settings.Growth = 0
	}
}

// given says whether there is a flag for a key on the command line.
func (s *settings) given(key string) bool {
	return slices.ContainsFunc(s.flags, func(f *setting) bool { return f.key == key && f.given })
}
