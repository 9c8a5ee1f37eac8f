package store

import (
	"encoding/xml"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sluice/internal/media/hls"
)

// timeShift is how many segments may be asked for, as a manifest says: its time shift, and one, since a
// manifest comes after its newest segment. 0 = it does not say.
func timeShift(name string, manifest []byte) int {
	segments := 0
	if strings.EqualFold(path.Ext(name), ".mpd") {
		segments = mpdShift(manifest)
	} else if list, err := hls.Parse(manifest); err == nil {
		segments = list.Segments
	}
	if segments == 0 {
		return 0
	}
	return segments + 1
}

// maxShift bounds the time shift in segments: more is as good as all.
const maxShift = 1 << 20

// mpd is what is read of a Media Presentation Description (ISO/IEC 23009-1, 5.3).
type mpd struct {
	Depth string     `xml:"timeShiftBufferDepth,attr"`
	Sets  []mpdLevel `xml:"Period>AdaptationSet"`
}

type mpdLevel struct {
	Template        mpdTemplate `xml:"SegmentTemplate"`
	Representations []struct {
		Template mpdTemplate `xml:"SegmentTemplate"`
	} `xml:"Representation"`
}

type mpdTemplate struct {
	Timescale int64 `xml:"timescale,attr"`
	Duration  int64 `xml:"duration,attr"`
	Segments  []struct {
		Duration int64 `xml:"d,attr"`
	} `xml:"SegmentTimeline>S"`
}

// mpdShift is the depth of the time shift divided by the longest segment.
func mpdShift(text []byte) int {
	var m mpd
	if xml.Unmarshal(text, &m) != nil {
		return 0
	}
	depth := xsDuration(m.Depth)
	var longest time.Duration
	for _, set := range m.Sets {
		longest = max(longest, set.Template.longest())
		for _, r := range set.Representations {
			template := r.Template
			if template.Timescale == 0 {
				template.Timescale = set.Template.Timescale // what is not said is inherited
			}
			longest = max(longest, template.longest())
		}
	}
	if depth <= 0 || longest <= 0 {
		return 0
	}
	return int(min((depth+longest-1)/longest, maxShift))
}

// longest is how long the longest segment lasts; 0 = it is not said.
func (t mpdTemplate) longest() time.Duration {
	ticks := t.Duration
	for _, s := range t.Segments {
		ticks = max(ticks, s.Duration)
	}
	seconds := float64(ticks) / float64(max(t.Timescale, 1))
	if seconds <= 0 || seconds > maxSeconds {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// maxSeconds is the longest duration that is believed: ten years.
const maxSeconds = 10 * 366 * 24 * 3600

var xsDurationForm = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?)S)?)?$`)

// xsDuration is an xs:duration without years, months and sign, as MPDs have it; 0 for what is none.
func xsDuration(s string) time.Duration {
	parts := xsDurationForm.FindStringSubmatch(s)
	if parts == nil {
		return 0
	}
	seconds := 0.0
	for i, unit := range []float64{24 * 3600, 3600, 60, 1} {
		if parts[i+1] == "" {
			continue
		}
		amount, err := strconv.ParseFloat(parts[i+1], 64)
		if err != nil {
			return 0
		}
		seconds += amount * unit
	}
	if seconds > maxSeconds {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
