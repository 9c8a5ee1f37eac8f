//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
)

// testLLHLSPlayed: hls.js follows a producer at its pace, part by part, each of which it asks for before it is there.
func testLLHLSPlayed(t *testing.T) {
	o := startOrigin(t, "gmem", "--wdir", "gmem", "--max-cache-segs", "20", "--maxp", "50", "--reqlog", "GET")
	p := newLLHLS(t, o.url+"/live", 60)
	p.publish(3*segmentParts + 1) // a player wants three target durations before it begins
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.live(ctx) }()
	const least = 30 // of the 40 parts of 8 seconds
	parts := regexp.MustCompile(`GET /live/seg\d+\.\d\.m4s start`)
	end := playHLS(t, o.url+"/live/live.m3u8", `{ lowLatencyMode: true }`).until(fmt.Sprintf("8 seconds and %d parts", least), func(now playing) bool {
		return now.Played >= 8 && len(parts.FindAllString(o.proc.Output(), -1)) >= least
	}, func(playing) {})
	t.Logf("%d pictures, %d stalls, latency %.2f s", end.Pictures, end.Stalls, end.Latency) // three parts of 0.2 s are what it holds back
	o.waiting(1)                                                                            // it waits for the playlist that has the next part
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the producer has ended with %v", err)
	}
}
