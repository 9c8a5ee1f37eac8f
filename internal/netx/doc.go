// Package netx holds what the net package does not offer and a stream relay
// needs: listeners with useful errors, sockets inherited from a supervisor,
// descriptors passed between processes, the options of a client's socket, and
// multicast reception in batches.
//
//	listen    ListenTCP, ListenStream, ListenHandoff, Inherited and InheritEnv
//	connect   Dialer, DialSCTP
//	pass on   SendFD, RecvFD, TCPWritten, PrepareClient
//	receive   OpenUDP, then Batch.Receive on its descriptor
//	stay in   Reporter.Report, UDP.Rejoin, WatchLinks
//	send      DialUDP
//
// # Staying a member
//
// The kernel answers the queries of a router. Three things it does not do:
//
//   - Where nobody queries, a snooping switch forgets who wants a group. Leaving and
//     joining again would lose packets; so a Reporter sends the same report that a
//     query would have brought forth, and the membership is not touched.
//
//   - An interface that is made anew (a VLAN, a tunnel, a container's cable) has lost
//     its groups, and the sockets are not told. WatchLinks says that something has
//     changed, UDP.Rejoin finds out whether a socket lost something.
//
//   - What the system chose, it does not tell. So OpenUDP asks the routes itself.
//
//     u := OpenUDP(…)           r := OpenReporter()
//     every so often:           r.Report(u.Joined())
//     WatchLinks says changed:  u.Rejoin(), again after ErrNoInterface
//
// Nothing here starts a goroutine or keeps state of the package's own. The receiving
// sockets are raw, non-blocking descriptors for a caller with a poll loop of its
// own; everything else is an ordinary type of package net.
//
// Linux is the home of the package. On other systems a Batch makes one system
// call a datagram, TCPWritten and OpenReporter return errors.ErrUnsupported, and
// WatchLinks polls.
package netx
