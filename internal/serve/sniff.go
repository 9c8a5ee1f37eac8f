package serve

import (
	"errors"
	"io"
	"net/http"
)

// sniff is the type that the first bytes look like.
func sniff(content io.ReadSeeker) (string, error) {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	var first [512]byte // http.DetectContentType looks at no more
	n, err := io.ReadFull(content, first[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return http.DetectContentType(first[:n]), nil
}
