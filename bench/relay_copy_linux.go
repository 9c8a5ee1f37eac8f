package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"sync"
)

// wordCopy starts the yardstick of the relays: io.Copy both ways, two goroutines a session.
const wordCopy = "copy"

// runCopy is the command `bench copy`: it relays until it is killed.
func runCopy(args []string) error {
	flags := flag.NewFlagSet(wordCopy, flag.ContinueOnError)
	plain := flags.String("listen", "", "address and port")
	secured := flags.String("tls", "", "address and port for TLS")
	pair := flags.String("certificate", "", "file of its certificate and key")
	back := flags.String("back", "", "where clients are relayed to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(*pair, *pair)
	if err != nil {
		return fmt.Errorf("-certificate: %w", err)
	}
	one, err := net.Listen("tcp4", *plain)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	defer one.Close()
	other, err := net.Listen("tcp4", *secured)
	if err != nil {
		return fmt.Errorf("-tls: %w", err)
	}
	other = tls.NewListener(other, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	defer other.Close()
	ends := make(chan error, 2)
	go func() { ends <- copyAll(one, *back) }()
	go func() { ends <- copyAll(other, *back) }()
	return <-ends
}

// copyAll relays all clients of a listener until it is closed.
func copyAll(l net.Listener, back string) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		client, err := l.Accept()
		if err != nil {
			return err
		}
		sessions.Go(func() { copySession(client, back) })
	}
}

// halfCloser is both kinds of connections.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// copySession relays one client to its end, which is what its sides make of it.
func copySession(client net.Conn, back string) {
	defer client.Close()
	remote, err := net.Dial("tcp4", back)
	if err != nil {
		return // the client sees the end
	}
	defer remote.Close()
	var way sync.WaitGroup
	way.Go(func() { _ = copyWay(remote, client) })
	_ = copyWay(client, remote)
	way.Wait()
}

func copyWay(to, from net.Conn) error {
	_, err := io.Copy(to, from)
	if h, ok := to.(halfCloser); ok {
		err = errors.Join(err, h.CloseWrite())
	}
	return err
}
