// Package upload is the end of uploads that are channels: an HTTP PUT or POST that the origin of this sluice takes, fetched
// from it through a UNIX socket by the name of its path.
package upload
