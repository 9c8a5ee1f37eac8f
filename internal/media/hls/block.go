package hls

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The delivery directives that a request can wait by.
const (
	sequenceDirective = "_HLS_msn"
	partDirective     = "_HLS_part"
)

// Block is what a request for a playlist waits for: _HLS_msn, and _HLS_part (-1 = none).
type Block struct {
	Sequence int64
	Part     int
}

// ParseBlock reads the query of a request, as it stands in the URL; nil, nil when it says nothing of waiting. An error
// (no number, said twice, a part without a segment) is answered with 400.
func ParseBlock(query string) (*Block, error) {
	sequence, part := int64(-1), int64(-1)
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); err == nil {
			key = name
		}
		var err error
		switch key {
		case sequenceDirective:
			sequence, err = directive(key, value, sequence, 62)
		case partDirective:
			part, err = directive(key, value, part, 31)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case sequence >= 0:
		return &Block{Sequence: sequence, Part: int(part)}, nil
	case part >= 0:
		return nil, fmt.Errorf("%s wants %s, too", partDirective, sequenceDirective)
	}
	return nil, nil
}

// directive reads the number of a directive that had the value before until now; bits is how long it may be.
func directive(name, value string, before int64, bits int) (int64, error) {
	if before >= 0 {
		return 0, fmt.Errorf("%s is there twice", name)
	}
	n, err := strconv.ParseUint(value, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%s: want a number of at most %d bits", name, bits)
	}
	return int64(n), nil
}
