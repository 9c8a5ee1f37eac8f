package receive

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"

	"sluice/internal/media/mp4"
)

// The rules of DASH-IF Live Media Ingest 1.2 that one request can break. Numbers are of its clauses' lists.
//
// A source begins with an empty request, to a track or to the publishing point itself, to see whether somebody listens (Interface 1, 1):
// that is 200 and stores nothing, whatever its name. In this profile nothing else is empty.

// lookSize is how far into a body it is looked for what it is, in bytes: ftyp and what else stands before moov or moof is far smaller.
const lookSize = 4 << 10

// isPoint says whether dir is a publishing point.
func (x *Receiver) isPoint(dir string) bool { return slices.Contains(x.o.Points, dir) }

// point is the publishing point that name is of: the nearest above it, or itself. "." is the store.
func (x *Receiver) point(name string) (dir string, ok bool) {
	if len(x.o.Points) == 0 {
		return ".", true
	}
	for dir = name; ; dir = path.Dir(dir) {
		if x.isPoint(dir) {
			return dir, true
		}
		if dir == path.Dir(dir) {
			return "", false
		}
	}
}

func (u *upload) hasPoint() bool {
	_, ok := u.point(u.name)
	return ok
}

// ingest is create with the rules of the profile, which want to see what the body is.
func (u *upload) ingest(buf []byte) (replaced bool, err error) {
	have, kind, err := u.look(buf)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if u.empty = have == 0; u.empty {
		return false, nil
	}
	if u.directory {
		return false, refuse(http.StatusForbidden, "this is a directory, want the path of an object")
	}
	if !isMedia(u.name, u.r) {
		return false, refuse(http.StatusUnsupportedMediaType, "neither its extension nor its Content-Type is one of live media")
	}
	track := trackOf(u.st, u.name)
	switch {
	case kind != mp4.Init && isHeader(u.name):
		return false, refuse(http.StatusPreconditionFailed, "this is no initialization")
	case kind == mp4.Media && !u.await(u.r.Context(), track):
		return false, refuse(http.StatusPreconditionFailed, "the initialization of this track has not come")
	case kind == mp4.Init:
		defer func() { // it holds from now on, since media may come on other connections, unless it breaks off
			if err != nil {
				u.tracks.forget(u.st, u.name)
			}
		}()
		u.tracks.note(track, u.name)
	}
	return u.create(buf, have, err)
}

// look reads until it is plain what the body is.
func (u *upload) look(buf []byte) (have int, kind mp4.Kind, err error) {
	for sure := false; err == nil && !sure && have < lookSize; {
		var n int
		n, err = u.body.Read(buf[have:])
		have += n
		kind, sure = mp4.KindOf(buf[:min(have, lookSize)])
	}
	return have, kind, err
}

// isHeader says whether a name is that of an initialization only (Interface 2, 6.1.3, 6).
func isHeader(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".init" || ext == ".header"
}

// isMedia says whether an upload is of a kind that the profile has: table 6, and what else DASH and HLS refer to. Any of the extensions goes
// with any of the types, since sources are not that strict; one of the two may be missing, or both when a keyword says what it is.
func isMedia(name string, r *http.Request) bool {
	ext := strings.ToLower(path.Ext(name))
	if isKeyword(name) {
		ext = ""
	}
	if ext != "" && !slices.Contains(extensions, ext) {
		return false
	}
	given := r.Header.Get("Content-Type")
	if given == "" {
		return ext != "" || isKeyword(name)
	}
	t, _, err := mime.ParseMediaType(given)
	return err == nil && slices.Contains(mediaTypes, t)
}

var extensions = []string{
	".mpd", ".m3u8", ".cmfv", ".cmfa", ".cmft", ".cmfm", ".mp4", ".m4v", ".m4a", ".m4s", ".init", ".header", ".key", // table 6
	".ts", ".m2ts", ".aac", ".ac3", ".ec3", ".mp3", ".vtt", ".webvtt", ".ttml", ".jpg", ".jpeg", ".png", ".webm",
}

var mediaTypes = []string{
	"application/x-mpegurl", "vnd.apple.mpegurl", "application/dash+xml", "video/mp4", "audio/mp4", "application/mp4", // table 6
	"video/iso.segment", "application/octet-stream",
	"application/vnd.apple.mpegurl", "audio/mpegurl", "audio/x-mpegurl", "audio/iso.segment", "application/xml", "text/xml",
	"video/mp2t", "audio/aac", "audio/aacp", "audio/ac3", "audio/eac3", "audio/mpeg", "text/vtt", "application/ttml+xml",
	"image/jpeg", "image/png", "video/webm", "audio/webm",
}
