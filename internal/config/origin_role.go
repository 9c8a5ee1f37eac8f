package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/auth"
	"sluice/internal/creds"
	channels "sluice/internal/live"
	"sluice/internal/origin"
	"sluice/internal/script"
)

// OriginConfig is the origin's part; it reads the files of rules and users, and those of authorities. Hook, stores and logs are
// left to the caller.
func (c *Config) OriginConfig() (origin.Config, error) {
	o := &c.Origin
	out := o.Config
	out.Proxies, out.Headers = c.Proxies, pairs(o.Headers)
	var err error
	if out.Read, out.Rules, err = o.mounts(); err != nil {
		return out, c.place("origin.rdirs").Errorf("origin.rdirs: %s", err)
	}
	if o.WriteDir != GMem && o.WriteDir != "" && creds.IsRules(o.WriteDir) {
		return out, c.place("origin.wdir").Errorf("origin.wdir: %s is a file of rules; it stands in rdirs, and says who may write there (wu, wg)", o.WriteDir)
	}
	if o.WriteDir != "" {
		out.Write = &origin.Mount{Dir: placeOfObjects(o.WriteDir)}
	}
	if o.UsersFile != "" {
		if out.Users, err = creds.ReadUsers(o.UsersFile); err != nil {
			return out, c.place("origin.users").Errorf("origin.users: %s", err)
		}
	}
	if o.JS != "" {
		out.Script = &script.Config{File: o.JS, Workers: o.JSWorkers, Limit: o.JSLimit, Park: o.JSWait}
	}
	return out, c.originChannelConfig(&out)
}

// originChannelConfig adds what the origin has to do with channels.
func (c *Config) originChannelConfig(out *origin.Config) error {
	added, queries, err := c.originChannels()
	if err != nil {
		return err
	}
	if len(c.Origin.SinkList) > 0 {
		out.Sinks = map[string]channels.Sink{}
	}
	for _, s := range c.Origin.SinkList {
		channel := queries[sinksKey+"."+s.Name]
		out.Sinks[s.path()] = channels.Sink{
			Channel: channel, Type: s.Type, Ends: c.ends(channel, added), Reopen: s.Reopen, Buffer: s.Buffer,
			ICE: s.ICE, Name: s.Title, Bitrate: s.Bitrate, Headers: pairs(s.Headers),
		}
	}
	if len(c.Origin.RecordList) > 0 {
		out.Records = map[string]origin.Record{}
	}
	for _, r := range c.Origin.RecordList {
		out.Records[r.object()] = origin.Record{Channel: queries[recordsKey+"."+r.Name], Again: r.Again}
	}
	for _, p := range c.Origin.PushList {
		one, err := p.role()
		if err != nil {
			return c.placeIn(pushesKey+"."+p.Name, "ca").Errorf("push %s: %s", p.Name, err)
		}
		if p.ofChannel() {
			one.Channel = queries[pushesKey+"."+p.Name]
		}
		out.Pushes = append(out.Pushes, one)
	}
	return nil
}

// role is the push as the origin takes it, but for the channel; a store is the caller's.
func (p OriginPush) role() (origin.Push, error) {
	out := origin.Push{Config: p.Config}
	out.Header = http.Header{}
	for _, h := range pairs(p.Headers) {
		out.Header.Add(h[0], h[1])
	}
	if p.From != GMem && !p.ofChannel() {
		out.Dir = filepath.Clean(p.From)
	}
	if p.CA == "" && p.Verify {
		return out, nil
	}
	out.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !p.Verify}
	if p.CA == "" {
		return out, nil
	}
	text, err := os.ReadFile(p.CA)
	if err != nil {
		return out, fmt.Errorf("authorities: %w", err)
	}
	out.TLS.RootCAs = x509.NewCertPool()
	if !out.TLS.RootCAs.AppendCertsFromPEM(text) {
		return out, fmt.Errorf("authorities: %s holds no certificate (PEM)", p.CA)
	}
	return out, nil
}

// placeOfObjects is the Dir of a Mount.
func placeOfObjects(dir string) string {
	if dir == GMem {
		return ""
	}
	return dir
}

// mounts are the places that are read, and the rules if there are some.
func (o *OriginPart) mounts() (list []origin.Mount, rules *creds.Rules, err error) {
	for _, dir := range o.readDirs() {
		if dir == GMem || !isFile(dir) {
			list = append(list, origin.Mount{Dir: placeOfObjects(dir)})
			continue
		}
		if rules != nil {
			return nil, nil, fmt.Errorf("%s is another file of rules: one may stand here", dir)
		}
		if rules, err = creds.ReadRules(dir); err != nil && !creds.IsRules(dir) {
			return nil, nil, fmt.Errorf("%s is no directory, and no file of rules: %w", dir, err)
		} else if err != nil {
			return nil, nil, err
		}
		for _, r := range rules.Rules() {
			if r.Exists && r.Parent == "" {
				list = append(list, origin.Mount{Name: strings.Trim(r.Name, "/"), Dir: r.Dir, Rule: r.Dir})
			}
		}
	}
	return list, rules, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// OriginAuth is the part of authorization of the origin.
func (c *Config) OriginAuth() auth.Config {
	out := auth.Config{Hook: c.Origin.AuthHook, Timeout: c.Origin.AuthTime, DeniedFor: c.Auth.DeniedFor, DeniedEntries: c.Auth.DeniedEntries}
	if out.DeniedFor == 0 {
		out.DeniedFor = -1 // zero is auth's default
	}
	return out
}
