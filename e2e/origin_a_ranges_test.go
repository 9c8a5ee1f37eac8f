//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
	"testing"
)

// stores runs a test with a directory and with the memory; in both is letters as /a.m4s, and nothing as /empty.m4s.
func stores(t *testing.T, args []string, test func(t *testing.T, o *originRun)) {
	for name, start := range map[string]func(t *testing.T) *originRun{
		"directory": func(t *testing.T) *originRun {
			o, _ := startOriginDir(t, args...)
			return o
		},
		"memory": func(t *testing.T) *originRun {
			return startOrigin(t, append([]string{"--rdirs", "gmem", "--wdir", "gmem"}, args...)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := start(t)
			o.put("/a.m4s", letters, 201)
			o.begin("/empty.m4s", "").ends(201)
			o.overEach(test)
		})
	}
}

// part wants some bytes of letters, from first to last.
func (o *originRun) part(header string, first, last int) {
	o.t.Helper()
	a := o.get("/a.m4s", 206, "Range", header)
	if want := letters[first : last+1]; a.body != want {
		o.t.Errorf("%s: %q, want %q", header, a.body, want)
	}
	a.has(o.t, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(letters)))
	a.has(o.t, "Content-Length", strconv.Itoa(last-first+1))
	a.has(o.t, "Content-Type", "video/iso.segment")
	if !strongTag.MatchString(a.Header.Get("Etag")) {
		o.t.Errorf("%s: Etag %q", header, a.Header.Get("Etag"))
	}
}

func testRange(t *testing.T) {
	stores(t, nil, func(t *testing.T, o *originRun) {
		o.part("bytes=0-3", 0, 3)
		o.part("bytes=25-25", 25, 25)
		o.part("BYTES = 7-9", 7, 9) // units are of any case, blanks are of HTTP
		code, body := curl(t, "-r", "0-3", o.url+"/a.m4s")
		if code != 206 || body != "abcd" {
			t.Errorf("curl -r 0-3: %d %q", code, body)
		}
	})
}

func testRangeToEnd(t *testing.T) {
	stores(t, nil, func(_ *testing.T, o *originRun) {
		o.part("bytes=-4", 22, 25)
		o.part("bytes=5-", 5, 25)
		o.part("bytes=25-", 25, 25)
		o.part("bytes=0-", 0, 25)
	})
}

func testRangeOfAll(t *testing.T) {
	stores(t, nil, func(_ *testing.T, o *originRun) {
		o.part("bytes=0-25", 0, 25)
		o.part("bytes=-26", 0, 25)
	})
}

func testRangeBeyond(t *testing.T) {
	stores(t, nil, func(_ *testing.T, o *originRun) {
		o.part("bytes=0-99999999", 0, 25)
		o.part("bytes=20-26", 20, 25)
		o.part("bytes=-99999999", 0, 25)
		o.part("bytes=3-99999999999999999999999999", 3, 25) // no number of any machine
	})
}

func testNoSuchRange(t *testing.T) {
	stores(t, nil, func(t *testing.T, o *originRun) {
		for _, header := range []string{
			"bytes=26-", "bytes=26-30", "bytes=99999999999999999999999999-", "bytes=30-,40-41", "bytes=-0",
			"bytes=3-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=0x1-2", "bytes=1--2", "bytes=1-2 3-4", "bytes=+1-2",
		} {
			a := o.get("/a.m4s", 416, "Range", header)
			a.has(t, "Content-Range", "bytes */26")
			a.has(t, "Etag", "") // of an error
			if strings.Count(a.body, "\n") != 1 || !strings.HasSuffix(a.body, "\n") {
				t.Errorf("%s: %q, want one line", header, a.body)
			}
		}
		o.part("bytes=2-3,30-", 2, 3) // something of it is there
		o.get("/empty.m4s", 416, "Range", "bytes=0-").has(t, "Content-Range", "bytes */0")
	})
}

// testSeveralRanges: a body of parts, or, as GPAC has it, one behind the other.
func testSeveralRanges(t *testing.T) {
	const spelled, twice = "bytes=0-3,10-13", "bytes=0-3, bytes=10-13"
	t.Run("multipart", func(t *testing.T) {
		stores(t, nil, func(t *testing.T, o *originRun) {
			for _, header := range []string{spelled, twice, "bytes=0-3 ,\t10-13,,", "bytes=0-3,10-13,80-90"} {
				a := o.get("/a.m4s", 206, "Range", header)
				a.has(t, "Content-Length", strconv.Itoa(len(a.body)))
				a.has(t, "Content-Range", "")
				wantParts(t, a, "bytes 0-3/26", "abcd", "bytes 10-13/26", "klmn")
			}
			wantParts(t, o.get("/a.m4s", 206, "Range", "bytes=-2,0-0"), "bytes 24-25/26", "yz", "bytes 0-0/26", "a")
			if _, body := curl(t, "-r", "0-3,10-13", o.url+"/a.m4s"); strings.Count(body, "Content-Range: bytes ") != 2 {
				t.Errorf("curl gets %q", body)
			}
			// What costs more than the object is answered with the object.
			for _, header := range []string{"bytes=0-,0-", "bytes=" + strings.Repeat("0-0,", 100)} {
				if a := o.get("/a.m4s", 200, "Range", header); a.body != letters {
					t.Errorf("%.20s: %q", header, a.body)
				}
			}
		})
	})
	t.Run("concat", func(t *testing.T) {
		stores(t, []string{"--multirange=concat"}, func(t *testing.T, o *originRun) {
			for _, header := range []string{spelled, twice} {
				a := o.get("/a.m4s", 206, "Range", header)
				a.has(t, "Content-Length", "8")
				a.has(t, "Content-Range", "bytes 0-3/26, 10-13/26")
				a.has(t, "Content-Type", "video/iso.segment")
				if a.body != "abcdklmn" {
					t.Errorf("%s: %q", header, a.body)
				}
			}
		})
	})
}

// wantParts wants a body of parts: their ranges and what they have.
func wantParts(t *testing.T, a reply, want ...string) {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("Content-Type: %q", a.Header.Get("Content-Type"))
	}
	var got []string
	for parts := multipart.NewReader(strings.NewReader(a.body), parameters["boundary"]); ; {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if kind := p.Header.Get("Content-Type"); kind != "video/iso.segment" {
			t.Errorf("Content-Type of a part: %q", kind)
		}
		got = append(got, p.Header.Get("Content-Range"), string(text))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("parts %q, want %q", got, want)
	}
}

func testOtherUnit(t *testing.T) {
	stores(t, nil, func(t *testing.T, o *originRun) {
		for _, header := range []string{"items=0-3", "seconds=1-", "byte=0-3", "nonsense", "=0-3", ""} {
			if a := o.get("/a.m4s", 200, "Range", header); a.body != letters || a.Header.Get("Content-Range") != "" {
				t.Errorf("%q: %q %v", header, a.body, a.Header)
			}
		}
	})
}

func testNoRange(t *testing.T) {
	stores(t, []string{"--norange"}, func(t *testing.T, o *originRun) {
		for _, header := range []string{"bytes=0-3", "bytes=-4", "bytes=99-", "bytes=x", "bytes=0-3,10-13", ""} {
			a := o.get("/a.m4s", 200, "Range", header)
			a.has(t, "Accept-Ranges", "")
			a.has(t, "Content-Range", "")
			if a.body != letters {
				t.Errorf("%q: %q", header, a.body)
			}
		}
	})
}
