// Package tools holds what an operator tests with: a sender, a judge and a demo
// channel.
//
//	Send      plays a transport stream file to UDP or RTP at its own pace, endlessly and
//	          without a seam if wanted, and breaks it in ways that can be counted
//	Probe     receives a stream by HTTP, UDP or RTP and says what is wrong with it
//	DemoEnd, DemoSource   a channel of this machine's own, made of the clip in Clip
//
// Send is a chain of stages, each a pure piece that knows no clock and no socket:
//
//	file ─► source ─► looper ─► pacer ─► packer ─► breaker ─► socket
//	        packets   rounds    due      7 a       faults
//	                  joined    times    datagram
//
// Only the sender's loop waits. The command line is not known here.
//
// Each of Faults raises one count of ts.Health, of the framer or of RTP by exactly what
// FaultStats says; the test TestHealthCountsWhatIsSent is the table of which.
package tools
