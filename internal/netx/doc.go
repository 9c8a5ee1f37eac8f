// Package netx holds what the net package does not offer and a stream relay
// needs: listeners with useful errors, sockets inherited from a supervisor,
// descriptors passed between processes, the options of a client's socket, and
// multicast reception in batches.
//
//	listen    ListenTCP, ListenHandoff, Inherited and InheritEnv
//	pass on   SendFD, RecvFD, TCPWritten, PrepareClient
//	receive   OpenUDP, then Batch.Receive on its descriptor
//	send      DialUDP
//
// Nothing here starts a goroutine or keeps state of its own. The receiving
// sockets are raw, non-blocking descriptors for a caller with a poll loop of its
// own; everything else is an ordinary type of package net.
//
// Linux is the home of the package. On other systems a Batch makes one system
// call a datagram, and TCPWritten returns errors.ErrUnsupported.
package netx
