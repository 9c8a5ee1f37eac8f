package store

import (
	"path"
	"strconv"
	"strings"
)

// digits stands for the number of a segment in the name of its representation; no name has it.
const digits = "\x00"

// Representation is which representation a media segment belongs to (what its name is without its number; for comparing, not for
// showing) and its number. It is false for what is no media segment: by its extension, since it has no number, or as an
// initialization segment. The number of a part that is named after its segment (seg-12.m4s.3) is the last one.
func Representation(name string) (representation string, number int64, ok bool) {
	dir, base := path.Split(name)
	stem, ext := cutExt(base)
	if _, err := strconv.Atoi(strings.TrimPrefix(ext, ".")); err == nil { // a part: its extension is before its number
		_, ext = cutExt(stem)
		stem = base
	}
	if !mediaSegment(ext) || strings.Contains(strings.ToLower(base), "init") {
		return "", 0, false
	}
	end := strings.LastIndexAny(stem, "0123456789") + 1
	begin := len(strings.TrimRight(stem[:end], "0123456789"))
	number, err := strconv.ParseInt(stem[begin:end], 10, 64)
	if err != nil {
		return "", 0, false
	}
	return dir + base[:begin] + digits + base[end:], number, true
}

// cutExt cuts the extension off.
func cutExt(base string) (stem, ext string) {
	ext = path.Ext(base)
	return base[:len(base)-len(ext)], ext
}

// mediaSegment says whether segments have that extension (table 6 of DASH-IF Live Media Ingest 1.2, and those of HLS).
func mediaSegment(ext string) bool {
	switch strings.ToLower(ext) {
	case ".m4s", ".mp4", ".m4v", ".m4a", ".m4t", ".m4f", ".cmfv", ".cmfa", ".cmft", ".cmfm",
		".ts", ".aac", ".mp3", ".ac3", ".ec3", ".vtt", ".webvtt", ".webm", ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}

// partsOf says whether the segments of a representation are the parts of a segment: what they are called begins with its name
// without the extension (seg-12.m4s has seg-12.3.m4s, seg-12.part3.m4s, seg-12.m4s.3).
func partsOf(segment, representation string) bool {
	stem, _ := cutExt(segment)
	return strings.HasPrefix(representation, stem+".") && strings.Contains(representation[len(stem):], digits)
}
