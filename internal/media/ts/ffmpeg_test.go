//go:build e2e

package ts

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/asticode/go-astits"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/testkit"
)

// encodings are real streams and what they hold.
var encodings = []struct {
	name   string
	args   string // of ffmpeg; its inputs are pictures and a tone
	codecs []string
	decode bool // from any key frame without a complaint: closed groups of pictures
}{
	{"h264 closed", "-c:v libx264 -g 25 -bf 2 -c:a aac", []string{"h264", "aac"}, true},
	{"h264 open", "-c:v libx264 -g 25 -bf 3 -x264-params open-gop=1:keyint=25 -c:a aac", []string{"h264", "aac"}, false},
	{"h264 gradual refresh", "-c:v libx264 -g 25 -x264-params intra-refresh=1 -an", []string{"h264"}, false},
	{"h264 interlaced, slices", "-c:v libx264 -g 25 -flags +ilme+ildct -x264-params slices=4:tff=1 -an", []string{"h264"}, true},
	{"h265", "-c:v libx265 -x265-params keyint=25:log-level=none -c:a ac3", []string{"h265", "ac3"}, false},
	{"mpeg2", "-c:v mpeg2video -g 12 -bf 2 -c:a mp2", []string{"mpeg2video", "mpegaudio"}, false},
	{"mpeg1 announced as mpeg2", "-c:v mpeg1video -g 12 -an", []string{"mpeg2video"}, true},
	{"h264 constant rate", "-c:v libx264 -g 25 -bf 2 -b:v 1M -c:a aac -muxrate 2M", []string{"h264", "aac"}, true},
	{"mpeg2 constant rate", "-c:v mpeg2video -g 12 -bf 2 -c:a mp2 -muxrate 4M -pcr_period 40", []string{"mpeg2video", "mpegaudio"}, false},
	{"h264 at 29.97", "-r 30000/1001 -c:v libx264 -g 30 -c:a aac", []string{"h264", "aac"}, true},
	{"radio aac", "-vn -c:a aac -b:a 128k", []string{"aac"}, false},
	{"radio mp2", "-vn -c:a mp2 -b:a 192k", []string{"mpegaudio"}, false},
	{"radio opus", "-vn -c:a libopus -b:a 96k", []string{"opus"}, false},
	{"radio eac3", "-vn -c:a eac3", []string{"eac3"}, false},
}

func TestRealStreams(t *testing.T) {
	testkit.Need(t, "ffmpeg", "ffprobe")
	for _, e := range encodings {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			file := encode(t, e.args)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var tracker Tracker
			starts := scan(&tracker, b, 7)
			if n := tracker.Stats().Continuity + tracker.Stats().BadTables; n != 0 {
				t.Errorf("%+v", tracker.Stats())
			}
			var codecs []string
			for _, s := range tracker.Streams() {
				codecs = append(codecs, s.Codec)
			}
			if diff := cmp.Diff(e.codecs, codecs); diff != "" {
				t.Error(diff)
			}
			sameTables(t, &tracker, b)
			sameStarts(t, starts, packets(t, file), strings.HasPrefix(e.name, "radio"))
			for _, s := range starts {
				startsAlone(t, s, b, e.decode)
			}
			analyzeReal(t, b)
			healthy(t, b, e.name)
		})
	}
}

// encode makes six seconds of MPEG-TS.
func encode(t *testing.T, args string) (file string) {
	file = filepath.Join(t.TempDir(), "stream.ts")
	inputs := []string{
		"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
		"-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000", "-t", "6", "-pix_fmt", "yuv420p",
	}
	command := exec.Command("ffmpeg", append(append(inputs, strings.Fields(args)...), "-f", "mpegts", file)...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
	return file
}

// probed is a packet as ffprobe sees it.
type probed struct {
	Kind string `json:"codec_type"`
	Pos  string `json:"pos"` // of the first packet of the PES packet
	Key  string `json:"flags"`
}

func packets(t *testing.T, file string) []probed {
	command := exec.Command("ffprobe", "-v", "error", "-show_packets", "-of", "json", file)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	var all struct{ Packets []probed }
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	return all.Packets
}

// sameStarts compares with the key frames that ffprobe finds: all of them and no
// other. Where there is only audio every start must be a packet of it.
func sameStarts(t *testing.T, starts []Start, all []probed, radio bool) {
	var want, got []int64
	audio := map[int64]bool{}
	for _, p := range all {
		pos, err := strconv.ParseInt(p.Pos, 10, 64)
		if err != nil {
			continue // further frames of the same PES packet
		}
		audio[pos] = p.Kind == "audio"
		if p.Kind == "video" && strings.HasPrefix(p.Key, "K") {
			want = append(want, pos)
		}
	}
	for _, s := range starts {
		got = append(got, s.Offset)
		if radio && (s.Kind != AudioFrame || !audio[s.Offset]) {
			t.Errorf("start %v at %d is no packet of audio", s.Kind, s.Offset)
		}
		if !radio && s.Kind != KeyFrame {
			t.Errorf("start %v at %d", s.Kind, s.Offset)
		}
	}
	if diff := cmp.Diff(want, got); !radio && diff != "" {
		t.Errorf("key frames of ffprobe and ours: %s", diff)
	}
	if radio && (len(got) < 6 || len(got) > 13) {
		t.Errorf("%d starts in six seconds of radio", len(got))
	}
}

// sameTables compares PAT and PMT with another implementation.
func sameTables(t *testing.T, tracker *Tracker, b []byte) {
	var want []Stream
	demuxer := astits.NewDemuxer(context.Background(), bytes.NewReader(b))
	for want == nil {
		d, err := demuxer.NextData()
		if err != nil {
			t.Fatalf("no PMT: %v", err)
		}
		if d.PMT == nil {
			continue
		}
		for _, s := range d.PMT.ElementaryStreams {
			want = append(want, Stream{Program: d.PMT.ProgramNumber, PID: s.ElementaryPID, Type: uint8(s.StreamType)})
		}
		if pid, ok := tracker.ClockPID(); !ok || pid != d.PMT.PCRPID {
			t.Errorf("clock on PID %d, want %d", pid, d.PMT.PCRPID)
		}
	}
	got := tracker.Streams()
	for i := range got {
		got[i].Codec = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// startsAlone checks what a client gets that starts here: no continuity error, and
// a decoder begins with the first picture or sound.
func startsAlone(t *testing.T, s Start, b []byte, decode bool) {
	joined := append(bytes.Clone(s.Tables), b[s.Offset:]...)
	var tracker Tracker
	if scan(&tracker, joined, 7); tracker.Stats().Continuity != 0 {
		t.Errorf("from %d on: %+v", s.Offset, tracker.Stats())
	}
	if !decode {
		return
	}
	command := exec.Command("ffmpeg", "-nostdin", "-v", "warning", "-f", "mpegts", "-i", "pipe:0", "-f", "null", "-")
	command.Stdin = bytes.NewReader(joined)
	if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("from %d on: %v\n%s", s.Offset, err, out)
	}
}

func analyzeReal(t *testing.T, b []byte) {
	r := analyze(b, onTime)
	if !r.Valid {
		t.Errorf("problems %q", r.Problems)
	}
	if r.DurationMS < 5000 || r.PCR.Count < 25 || r.PCR.IntervalMaxMS > 300 {
		t.Errorf("%.0f ms, PCR %+v", r.DurationMS, r.PCR)
	}
}

// healthy: no encoder's stream has a fault but that of radio of variable rate, whose
// clock comes with each PES packet and so too seldom. Constant rates are recognised:
// one PCR out of place is seen.
func healthy(t *testing.T, b []byte, name string) {
	got := checked(b).Health()
	if strings.HasPrefix(name, "radio") {
		got.PCRInterval = 0
	}
	if got != (Health{}) {
		t.Errorf("%+v", got)
	}
	if !strings.HasSuffix(name, "constant rate") {
		return
	}
	moved := clocks(b, func(n int, p Packet, pcr int64) {
		if n == 50 {
			p.SetPCR(pcr + 2700)
		}
	})
	wantHealth(t, moved, Health{PCRJitter: 1})
}
