package store

import (
	"mime"
	"path"
	"strings"
)

// TypeOf is the Content-Type of an object by its name, else the uploader's, else "" (then its first bytes say).
// Table 6 of DASH-IF Live Media Ingest 1.2, and what else is of the web. The tables of the machine are not asked: they differ.
func TypeOf(name, uploaders string) string {
	if kind := typeByExtension(extension(name)); kind != "" {
		return kind
	}
	if kind, _, err := mime.ParseMediaType(uploaders); err == nil && strings.Contains(kind, "/") {
		return uploaders
	}
	return ""
}

// extension is how a name ends, in small letters; of a part of a segment (seg-7.m4s.3) it is the segment's.
func extension(name string) string {
	e := path.Ext(name)
	if strings.Trim(e, ".0123456789") == "" {
		e = path.Ext(strings.TrimSuffix(name, e))
	}
	return strings.ToLower(e)
}

// typeByExtension knows the types of media, of what goes with them, and of pages that show them.
func typeByExtension(extension string) string {
	if kind := mediaType(extension); kind != "" {
		return kind
	}
	return webType(extension)
}

func mediaType(extension string) string {
	switch extension {
	case ".mpd":
		return "application/dash+xml"
	case ".m3u8", ".m3u":
		return "application/vnd.apple.mpegurl"
	case ".cmfv", ".mp4", ".m4v", ".mp4v", ".init", ".header":
		return "video/mp4"
	case ".cmfa", ".m4a", ".mp4a":
		return "audio/mp4"
	case ".cmft", ".cmfm", ".m4t":
		return "application/mp4"
	case ".m4s":
		return "video/iso.segment"
	case ".ts", ".m2ts", ".mts":
		return "video/mp2t"
	case ".mpg", ".mpeg":
		return "video/mpeg"
	case ".webm":
		return "video/webm"
	case ".mkv":
		return "video/x-matroska"
	case ".mov":
		return "video/quicktime"
	case ".aac":
		return "audio/aac"
	case ".ac3":
		return "audio/ac3"
	case ".ec3", ".eac3":
		return "audio/eac3"
	case ".mp2", ".mp3":
		return "audio/mpeg"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".ogv":
		return "video/ogg"
	case ".flac":
		return "audio/flac"
	case ".wav":
		return "audio/wav"
	case ".vtt", ".webvtt":
		return "text/vtt; charset=utf-8"
	case ".ttml", ".dfxp":
		return "application/ttml+xml"
	case ".srt":
		return "application/x-subrip"
	case ".key":
		return "application/octet-stream"
	}
	return ""
}

func webType(extension string) string {
	switch extension {
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".wasm":
		return "application/wasm"
	case ".json", ".map":
		return "application/json"
	case ".xml":
		return "application/xml"
	case ".txt", ".log", ".md":
		return "text/plain; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".avif":
		return "image/avif"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".pdf":
		return "application/pdf"
	case ".zip":
		return "application/zip"
	case ".gz":
		return "application/gzip"
	}
	return ""
}
