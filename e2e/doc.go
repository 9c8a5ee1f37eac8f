// Package e2e holds the tests that run the whole program as an operator does, with
// real senders and real players: ffmpeg, VLC, curl, wget, busybox. They stand behind
// the build tag e2e:
//
//	go test -tags e2e ./e2e
//
// All of them run in one private network namespace that the test binary makes for
// itself. Every test starts its own `sluice run`, on its own ports, run directory and
// groups, and ends it with TERM; the harness then judges what is left behind. The
// program under test is built once, with the race detector; a report of it fails the
// test that provoked it.
//
// TestIssueN lists the sentences of issue N that are held here, one subtest each.
package e2e
