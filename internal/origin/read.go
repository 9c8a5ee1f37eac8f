package origin

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/logs"
	"sluice/internal/serve"
	"sluice/internal/store"
)

// noSuch is the answer for what is not there.
func noSuch() *refusal {
	return &refusal{status: http.StatusNotFound, text: "there is no such thing, or it is no longer available"}
}

// read answers GET and HEAD for an object, or a directory.
func (v *visit) read(to target) *refusal {
	at := to.place
	if at.mount == nil || at.Store == nil {
		return v.notThere()
	}
	if no := v.awaitPlaylist(at); no != nil {
		return no
	}
	it, err := at.Store.Open(at.name)
	if errors.Is(err, fs.ErrNotExist) && !to.directory {
		var no *refusal
		if it, no = v.awaitObject(at); no != nil {
			return no
		}
		if it == nil {
			return v.notThere()
		}
		err = nil
	}
	switch {
	case err == nil && to.directory:
		it.Close()
		return noSuch()
	case err == nil:
		return v.serveItem(it)
	case errors.Is(err, store.ErrIsDir):
		return v.listDirectory(to)
	}
	return v.unreadable(err)
}

// notThere answers for what is nowhere. A browser that asks for an icon is told that there is none.
func (v *visit) notThere() *refusal {
	if v.r.URL.Path == "/favicon.ico" {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return noSuch()
}

// unreadable answers for what could not be opened.
func (v *visit) unreadable(err error) *refusal {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrName) {
		return v.notThere()
	}
	return &refusal{status: http.StatusInternalServerError, text: "this cannot be read", hint: err.Error()}
}

// serveItem serves an open object.
func (v *visit) serveItem(it *store.Item) *refusal {
	if err := serve.Item(v.writer(it.Size), v.r, it, v.site.serve); err != nil {
		v.origin.limited.Info("answer ended early", logs.Client, v.peer.String(),
			logs.File, printable(v.r.URL.EscapedPath(), maxLoggedPath), logs.Reason, err)
	}
	return nil
}

// writer is where an answer of so many bytes goes.
func (v *visit) writer(size int64) http.ResponseWriter {
	if v.slow != nil {
		return v.slow(v.w, size)
	}
	return v.w
}

// listDirectory answers for a directory, with what other places have of it as far as their rules permit.
func (v *visit) listDirectory(to target) *refusal {
	at := to.place
	if !v.site.conf.Listing {
		return noBrowsing()
	}
	list, err := at.Store.List(at.name)
	if err != nil {
		return v.unreadable(err)
	}
	for _, other := range to.others {
		if no, _ := v.judge(target{place: other}); no != nil || other.Store == nil {
			continue
		}
		if more, err := other.Store.List(other.name); err == nil { // else it has no such directory
			list = append(list, more...)
		}
	}
	if at.at == "" {
		list = append(list, v.site.mountsBelow(at.name)...)
	}
	v.list(list)
	return nil
}

func noBrowsing() *refusal {
	return &refusal{status: http.StatusForbidden, text: "directories are not listed here"}
}

// listMounts answers for a directory that is none but has mounts.
func (v *visit) listMounts(dir string) *refusal {
	if !v.site.conf.Listing {
		return noBrowsing()
	}
	v.list(v.site.mountsBelow(dir))
	return nil
}

// mountsBelow are the mounts as entries of a directory that they lie in; "." is the root.
func (s *site) mountsBelow(dir string) (list []store.Info) {
	for _, m := range s.mounts {
		rest, ok := m.at, dir == "."
		if !ok {
			rest, ok = below(m.at, dir)
		}
		if ok && rest != "." && rest != "" {
			first, _, _ := strings.Cut(rest, "/")
			list = append(list, store.Info{Name: first, Dir: true})
		}
	}
	return list
}

// list answers with a list; of two entries of one name the first holds.
func (v *visit) list(list []store.Info) {
	slices.SortStableFunc(list, func(a, b store.Info) int { return cmp.Compare(path.Base(a.Name), path.Base(b.Name)) })
	list = slices.CompactFunc(list, func(a, b store.Info) bool { return path.Base(a.Name) == path.Base(b.Name) })
	serve.List(v.w, v.r, v.r.URL.Path, list, v.site.agent)
}

// placeOfFile is where a file of the disk is, of all that is read or written here.
func (s *site) placeOfFile(file string) (place, error) {
	for _, m := range s.allMounts() {
		if m.Dir == "" || m.Store == nil || !filepath.IsAbs(file) {
			continue
		}
		name, err := filepath.Rel(m.Dir, filepath.Clean(file))
		if err == nil && filepath.IsLocal(name) {
			return place{m, filepath.ToSlash(name)}, nil
		}
	}
	return place{}, errors.New("it is in none of the directories that are served")
}
