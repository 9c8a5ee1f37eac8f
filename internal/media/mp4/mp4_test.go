package mp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/internal/testkit"
)

// box makes a box of that type with a body.
func box(boxType, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))) + boxType + body
}

// long makes the head of a box with a length of 64 bits.
func long(boxType string, size uint64) string {
	return "\x00\x00\x00\x01" + boxType + string(binary.BigEndian.AppendUint64(nil, size))
}

const user = "0123456789abcdef"

func TestParseHead(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Box
		ok       bool
		err      string
	}{
		{"nothing", "", Box{}, false, ""},
		{"short", "\x00\x00\x00\x08fre", Box{}, false, ""},
		{"empty box", box("free", ""), Box{"free", 8, 8}, true, ""},
		{"body is not needed", box("mdat", "abc")[:8], Box{"mdat", 11, 8}, true, ""},
		{"to the end", "\x00\x00\x00\x00mdat", Box{"mdat", 0, 8}, true, ""},
		{"long", long("mdat", 1<<40), Box{"mdat", 1 << 40, 16}, true, ""},
		{"long, nothing in it", long("mdat", 16), Box{"mdat", 16, 16}, true, ""},
		{"long, cut", long("mdat", 1<<40)[:15], Box{}, false, ""},
		{"long, the most", long("mdat", math.MaxInt64), Box{"mdat", math.MaxInt64, 16}, true, ""},
		{"long, too long", long("mdat", math.MaxInt64+1), Box{}, false, "a \"mdat\" box of 9223372036854775808 bytes"},
		{"long, shorter than its head", long("mdat", 15), Box{}, false, "a \"mdat\" box of 15 bytes"},
		{"long, 0 is no end", long("mdat", 0), Box{}, false, "a \"mdat\" box of 0 bytes"},
		{"shorter than its head", "\x00\x00\x00\x07free", Box{}, false, "of 7 bytes, its head alone has 8"},
		{"2 is no long one", "\x00\x00\x00\x02free", Box{}, false, "of 2 bytes"},
		{"uuid", box("uuid", user+"abc"), Box{"uuid", 27, 24}, true, ""},
		{"uuid, cut", box("uuid", user)[:23], Box{"uuid", 24, 24}, false, ""},
		{"uuid without its type", box("uuid", "abc"), Box{}, false, "its head alone has 24"},
		{"uuid to the end", "\x00\x00\x00\x00uuid" + user, Box{"uuid", 0, 24}, true, ""},
		{"long uuid", long("uuid", 40) + user, Box{"uuid", 40, 32}, true, ""},
		{"long uuid, too short", long("uuid", 31) + user, Box{}, false, "its head alone has 32"},
	} {
		got, ok, err := ParseHead([]byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || ok != c.ok || (ok && got != c.want) {
			t.Errorf("%s: %+v, %v, %v", c.name, got, ok, err)
		}
	}
}

// place is where a box begins.
type place struct {
	At   int64
	Type string
	Size int64
}

// scan cuts a stream and lists its boxes.
func scan(s *Scanner, cuts ...[]byte) (found []place, err error) {
	for _, p := range cuts {
		if err = s.Write(p, func(at int64, b Box) error {
			found = append(found, place{at, b.Type, b.Size})
			return nil
		}); err != nil {
			return found, err
		}
	}
	return found, nil
}

// A stream has the same boxes however it is cut.
func TestScannerCutAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []place
		add := func(boxType string, size int64, bytes string) {
			want = append(want, place{int64(len(stream)), boxType, size})
			stream = append(stream, bytes...)
		}
		for range rapid.IntRange(0, 8).Draw(t, "boxes") {
			body := strings.Repeat("x", rapid.IntRange(0, 40).Draw(t, "body"))
			switch rapid.IntRange(0, 3).Draw(t, "form") {
			case 0:
				add("moof", int64(8+len(body)), box("moof", body))
			case 1:
				add("mdat", int64(16+len(body)), long("mdat", uint64(16+len(body)))+body)
			case 2:
				add("uuid", int64(24+len(body)), box("uuid", user+body))
			case 3:
				add("uuid", int64(32+len(body)), long("uuid", uint64(32+len(body)))+user+body)
			}
		}
		if rapid.Bool().Draw(t, "open") {
			add("mdat", 0, "\x00\x00\x00\x00mdat"+box("free", "is not looked at"))
		}
		var cuts [][]byte
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			cuts, rest = append(cuts, rest[:n]), rest[n:]
		}
		var s Scanner
		got, err := scan(&s, cuts...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestScannerFails(t *testing.T) {
	for name, c := range map[string]struct {
		in, err string
	}{
		"a length that cannot be":     {box("styp", "msdh") + "\x00\x00\x00\x05moof", "at byte 12: a \"moof\" box of 5 bytes, its head alone has 8"},
		"beyond what can be counted":  {box("styp", "") + long("mdat", math.MaxInt64), "at byte 8: a \"mdat\" box of 9223372036854775807 bytes"},
		"a body that lies is skipped": {box("styp", "")[:4] + "\xff\xff\xff\xff", ""},
	} {
		var s Scanner
		_, err := scan(&s, []byte(c.in))
		if c.err == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || err.Error() != c.err {
			t.Errorf("%s: %v, want %s", name, err, c.err)
		}
		if _, again := scan(&s, []byte(box("free", ""))); again == nil {
			t.Errorf("%s: it goes on", name)
		}
	}
	var s Scanner
	enough := errors.New("enough")
	if err := s.Write([]byte(box("free", "")), func(int64, Box) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestKindOf(t *testing.T) {
	ftyp, moov, moof := box("ftyp", "iso6\x00\x00\x00\x00cmfc"), box("moov", "..."), box("moof", "...")
	for _, c := range []struct {
		name, in string
		want     Kind
		sure     bool
	}{
		{"nothing", "", Unknown, false},
		{"seven bytes", moof[:7], Unknown, false},
		{"initialization", ftyp + moov, Init, true},
		{"its head is enough", ftyp + moov[:8], Init, true},
		{"without ftyp", moov, Init, true},
		{"with room between", ftyp + box("free", "....") + moov, Init, true},
		{"ftyp only", ftyp, Unknown, false},
		{"ftyp cut", ftyp[:10], Unknown, false},
		{"a file of fragments", ftyp + moov + moof, Init, true},
		{"a segment", box("styp", "msdh") + moof, Media, true},
		{"a chunk", moof, Media, true},
		{"a chunk that says its time", box("prft", "................") + moof, Media, true},
		{"a segment with an index", box("sidx", "................") + moof, Media, true},
		{"an event first", box("emsg", "..") + moof, Media, true},
		{"fragments of a file whose moov was lost", ftyp + moof, Media, true},
		{"an index behind ftyp", ftyp + box("sidx", "") + moov, Init, true},
		{"uuid first", box("uuid", user) + moof, Media, true},
		{"uuid cut", box("uuid", user)[:10], Unknown, false},
		{"a long moof", long("moof", 1<<30), Media, true},
		{"a long moof, cut", long("moof", 1<<30)[:8], Unknown, false},
		{"mdat", box("mdat", "...."), Unknown, true},
		{"mdat in a file", ftyp + box("mdat", "....") + moov, Init, true},
		{"mdat to the end", ftyp + "\x00\x00\x00\x00mdat", Unknown, true},
		{"a transport stream", "\x47\x40\x00\x10\x00\x00\xb0\x0d\x00\x01", Unknown, true},
		{"text", "#EXTM3U\n#EXT", Unknown, true},
		{"a length that cannot be", "\x00\x00\x00\x03ftyp", Unknown, true},
	} {
		if k, sure := KindOf([]byte(c.in)); k != c.want || sure != c.sure {
			t.Errorf("%s: %d, %v", c.name, k, sure)
		}
	}
}

// What ffmpeg makes is seen as what it is, whole and in pieces.
func TestRealFile(t *testing.T) {
	testkit.Need(t, "ffmpeg")
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=25", "-t", "2", "-g", "25", "-c:v", "mpeg4",
		"-movflags", "cmaf+frag_keyframe+empty_moov", "-f", "mp4", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	if k, sure := KindOf(out); k != Init || !sure {
		t.Errorf("the file: %d, %v", k, sure)
	}
	var s Scanner
	places, err := scan(&s, out)
	if err != nil {
		t.Fatal(err)
	}
	counts, end := map[string]int{}, int64(0)
	for _, p := range places {
		if p.At != end {
			t.Errorf("%s at %d, the one before ends at %d", p.Type, p.At, end)
		}
		end = p.At + p.Size
		if counts[p.Type]++; p.Type == "moof" {
			if k, sure := KindOf(out[p.At:]); k != Media || !sure {
				t.Errorf("a fragment: %d, %v", k, sure)
			}
		}
	}
	if end != int64(len(out)) || counts["ftyp"] != 1 || counts["moov"] != 1 || counts["moof"] < 2 || counts["moof"] != counts["mdat"] {
		t.Errorf("%v, %d bytes of %d", counts, end, len(out))
	}
}

// Any bytes, however they are cut: the same boxes, none before its turn, and KindOf never takes back what it was sure of.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(box("ftyp", "iso6....")+box("moov", "")+box("moof", "..")+box("mdat", "....")), uint8(3))
	f.Add([]byte(long("mdat", 1<<40)), uint8(1))
	f.Add([]byte(long("uuid", 33)+user+"."), uint8(7))
	f.Add([]byte("\x00\x00\x00\x00mdat"), uint8(2))
	f.Add([]byte("\x00\x00\x00\x07free"), uint8(5))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole, cutUp Scanner
		want, wantErr := scan(&whole, b)
		var cuts [][]byte
		for n, rest := int(cut)+1, b; len(rest) > 0; {
			m := min(n, len(rest))
			cuts, rest = append(cuts, bytes.Clone(rest[:m])), rest[m:]
		}
		got, err := scan(&cutUp, cuts...)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || !cmp.Equal(want, got) {
			t.Fatalf("%v %v, cut %v %v", want, wantErr, got, err)
		}
		end := int64(0)
		for _, p := range got {
			if p.At != end || p.At+8 > int64(len(b)) {
				t.Fatalf("%v of %d bytes", got, len(b))
			}
			end += p.Size
		}
		known, sure := Unknown, false
		for i := range len(b) + 1 {
			k, s := KindOf(b[:i])
			if sure && (!s || k != known) || !s && k != Unknown {
				t.Fatalf("%d bytes: %d %v, before %d %v", i, k, s, known, sure)
			}
			known, sure = k, s
		}
	})
}
