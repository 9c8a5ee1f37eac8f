package store

import (
	"path"
	"strconv"
	"strings"
)

// digits stands for a number in the name of a representation; no name of an object has it.
const digits = "\x00"

// Representation is which representation a media segment belongs to (what its name is without its number; for comparing, not for
// showing) and its number, the last one in its name. It is false for what is no media segment: by its extension, since it has no
// number, or as an initialization segment.
//
// The parts of segments (RFC 8216bis) are representations of their own, their number is that of their segment: seg-12.m4s.3,
// seg-12.part3.m4s, seg-12_part_3.m4s and part-12.3.m4s are of the segment 12.
func Representation(name string) (representation string, number int64, ok bool) {
	dir, base := path.Split(name)
	stem, ext := cutExt(base)
	if part, err := strconv.ParseUint(strings.TrimPrefix(ext, "."), 10, 63); err == nil && part < maxParts {
		if representation, number, ok = Representation(dir + stem); ok {
			return representation + "." + digits, number, true
		}
	}
	if !mediaSegment(ext) || strings.Contains(strings.ToLower(base), "init") {
		return "", 0, false
	}
	before, last, after := cutNumber(stem)
	representation = before + digits + after
	if first, segment, between := cutNumber(before); isPart(first, segment, between) {
		representation, last = first+digits+between+digits+after, segment
	}
	number, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return "", 0, false
	}
	return dir + representation + ext, number, true
}

// maxParts bounds the numbers of parts in extensions: what is larger is something else, a date perhaps.
const maxParts = 1000

// isPart says whether the last number of a name is that of a part, by what stands before it.
func isPart(first, segment, between string) bool {
	if segment == "" {
		return false
	}
	return strings.Contains(strings.ToLower(between), "part") ||
		between == "." && strings.HasSuffix(strings.TrimRight(strings.ToLower(first), "-_."), "part")
}

// ofParts says whether a representation is one of parts.
func ofParts(representation string) bool { return strings.Count(representation, digits) > 1 }

// cutNumber cuts at the last number, which is empty if there is none.
func cutNumber(s string) (before, number, after string) {
	end := strings.LastIndexAny(s, "0123456789") + 1
	begin := len(strings.TrimRight(s[:end], "0123456789"))
	return s[:begin], s[begin:end], s[end:]
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
