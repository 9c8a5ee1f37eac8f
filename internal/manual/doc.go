// Package manual makes the manual pages of docs/man from the texts in docs, so that each
// thing is written once: in Markdown, as a page of the repository, whose tables of options
// and settings the program itself has made. No part of the program needs it.
//
//	tables of the program ─► docs/*.md ─► docs/man/man*/*
//	   (config, app)          by hand       Convert
//
// The pages are in the language of man(7), which groff and mandoc read.
package manual

import "fmt"

// Page is one page of the manual.
type Page struct {
	Name    string   // sluice.conf
	Section int      // 1: programs, 5: files
	Source  string   // the text below docs, in Markdown
	About   string   // one line, for NAME and apropos(1)
	Also    []string // other names of the page, each a file that leads to it
}

// Pages are all pages, in the order in which they name each other.
func Pages() []Page {
	return []Page{
		{Name: "sluice", Section: 1, Source: "sluice.md", About: "relay live streams and TCP connections, and be their origin"},
		{Name: "gws", Section: 1, Source: "gws.md", About: "the web service of sluice"},
		{Name: "gng", Section: 1, Source: "gng.md", About: "an engine of sluice"},
		{Name: "sluice-relay", Section: 1, Source: "relay.md", About: "relay TCP connections to pools of remotes", Also: []string{"cproxy"}},
		{Name: "tcprelay", Section: 1, Source: "tcprelay.md", About: "relay TCP connections by a file of tcprelay", Also: []string{"spawnd"}},
		{Name: "sluice-origin", Section: 1, Source: "origin.md", About: "an HTTP origin for live streams", Also: []string{"sluice-user"}},
		{
			Name: "sluice.conf", Section: 5, Source: "reference.md", About: "configuration of sluice, its modules, its relay and its origin",
			Also: []string{"gws.conf", "gng.conf", "sluice.yaml"},
		},
		{Name: "channels.conf", Section: 5, Source: "channels.md", About: "lists of channels for sluice"},
		{Name: "sluice.auth", Section: 5, Source: "auth.md", About: "who may watch: tokens, signed URLs, hooks and helpers of sluice"},
		{Name: "sluice.relay-admin", Section: 5, Source: "relay-admin.md", About: "status, metrics and orders of sluice's relay"},
		{Name: "sluice.origin-admin", Section: 5, Source: "origin-admin.md", About: "status and metrics of sluice's origin"},
		{Name: "sluice.rules", Section: 5, Source: "origin-users.md", About: "who may read and write at an origin: rules, users and a hook", Also: []string{"sluice.users"}},
		{Name: "sluice.script", Section: 5, Source: "origin-script.md", About: "scripts of sluice's origin"},
		{Name: "sluice.access", Section: 5, Source: "access-log.md", About: "the access log of sluice and gws"},
	}
}

// Ref is how other pages name it: sluice.conf(5).
func (p Page) Ref() string { return fmt.Sprintf("%s(%d)", p.Name, p.Section) }

// File is where the page stands below docs/man, for man -M docs/man.
func (p Page) File() string { return fileOf(p.Name, p.Section) }

func fileOf(name string, section int) string {
	return fmt.Sprintf("man%d/%s.%d", section, name, section)
}

// Links are the files that lead to the page, with what is in each (the .so request of
// man(7)).
func (p Page) Links() map[string]string {
	links := make(map[string]string)
	for _, name := range p.Also {
		links[fileOf(name, p.Section)] = ".so " + p.File() + "\n"
	}
	return links
}
