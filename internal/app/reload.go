package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/config"
	"sluice/internal/logs"
)

// settingsFile is where sluice run keeps, in its run directory, what holds for its modules:
// one that is started again later does not meet a file that has changed in between. They
// read it when they start and when they are told to (HUP).
const settingsFile = "settings.yaml"

func settingsPath(dir string) string { return filepath.Join(dir, settingsFile) }

// change is a configuration that was read again.
type change struct {
	conf   config.Config // what holds from now on: keys that want a restart are as before
	atOnce []string      // the keys that have changed
	later  []string      // those that want a restart
}

// reread reads the configuration again, in place of old.
type reread func(old *config.Config) (change, error)

var errStdin = errors.New("the configuration came by the standard input, which cannot be read again")

// again is reread for the file and the flags of the command line.
func (s *settings) again(old *config.Config) (change, error) {
	if s.file == config.Stdin {
		return change{}, errStdin
	}
	now, err := s.load()
	if err != nil {
		return change{}, err
	}
	if now.RunDir == "" {
		now.RunDir = old.RunDir // the default one, which depends on the user
	}
	return changeOf(old, now)
}

// changeOf is what becomes of old when now is read.
func changeOf(old *config.Config, now config.Config) (change, error) {
	var c change
	own := *old
	own.Channels = ownChannels(old)
	c.atOnce, c.later = config.Diff(own, now)
	for _, key := range c.later {
		if err := now.Set(key, old.Get(key)); err != nil {
			return change{}, fmt.Errorf("keep %s: %w", key, err)
		}
	}
	c.conf = now
	return c, nil
}

// keep leaves the relay or the origin as it is: whether there is one wants a restart.
func (c *change) keep(old *config.Config, part string) {
	of := func(key string) bool { return strings.HasPrefix(key, part+".") }
	c.atOnce = slices.DeleteFunc(c.atOnce, of)
	c.later = append(slices.DeleteFunc(c.later, of), part)
	switch part {
	case "relay":
		c.conf.Relay = old.Relay
	case "origin":
		c.conf.Origin = old.Origin
	}
}

// ownChannels are the channels of c that are of no list.
func ownChannels(c *config.Config) []config.Channel {
	var own []config.Channel
	for _, ch := range c.Channels {
		if ch.List == "" {
			own = append(own, ch)
		}
	}
	return own
}

// tell logs what a reload has done.
func (c *change) tell(log *slog.Logger) {
	changed := "nothing"
	if len(c.atOnce) > 0 {
		changed = some(c.atOnce)
	}
	logs.Normal(log, "configuration read again", logs.File, c.conf.File(), "changed", changed)
	if len(c.later) > 0 {
		log.Warn("changed, but in effect only after a restart", "keys", some(c.later))
	}
	tellWarnings(log, &c.conf)
}

// tellKept logs that a reload has changed nothing.
func tellKept(log *slog.Logger, err error) {
	log.Error("configuration not read again: the one before stays", logs.Error, short(err))
}

// someNames is how many names are told; there may be thousands of channels.
const someNames = 20

func some(names []string) string {
	if len(names) > someNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:someNames], ", "), len(names)-someNames)
	}
	return strings.Join(names, ", ")
}

// short is err on one line: mistakes of a configuration file show its lines elsewhere.
func short(err error) string {
	var all config.Errors
	var one *config.Error
	switch {
	case errors.As(err, &all) && len(all) > 1:
		return fmt.Sprintf("%s (and %d more: sluice check -C FILE shows them)", all[0].Short(), len(all)-1)
	case errors.As(err, &one):
		return one.Short()
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// usable says what keeps gws, the relay or the origin from being started with c, besides ports and lists.
func usable(c *config.Config) error {
	quiet := slog.New(slog.DiscardHandler)
	if _, err := c.GWS(build()); err != nil {
		return err
	}
	rights, err := c.AuthConfig()
	if err != nil {
		return err
	}
	if _, err := auth.New(rights, quiet); err != nil {
		return err
	}
	if _, err = certificate(c, quiet); err != nil {
		return err
	}
	if _, err = c.RelayConfig(); err != nil {
		return err
	}
	if err = c.RelayTLS(); err != nil || !c.HasOrigin() {
		return err
	}
	_, err = c.OriginConfig()
	return err
}

// writeSettings writes what holds for the modules into the run directory: whole, or not at
// all. Credentials stand in it.
func writeSettings(c config.Config) error {
	c.PIDFile = "" // it names the supervisor
	if err := writeWhole(settingsPath(c.RunDir), c.YAML()); err != nil {
		return fmt.Errorf("settings of the modules: %w", err)
	}
	return nil
}

// writeWhole puts a file with text, for our user alone, in the place of path.
func writeWhole(path string, text []byte) (err error) {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path+".new"))
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
