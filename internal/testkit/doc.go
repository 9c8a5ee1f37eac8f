// Package testkit is for tests only: private networks, real programs, patience.
//
//	MainInNamespace, InNamespace    run tests in a network of their own, with multicast
//	TwoHosts                        a second host, joined by a cable (a veth pair)
//	MainInVM, InVM                  run a test under another kernel (qemu)
//	Need, Start                     real peers: present or skipped with a reason, never left behind
//	Eventually                      for facts that give no event
//	NoLeaks                         no goroutine outlives its test
//
// Tests do not sleep and have no ports of their own choice. They wait for a line
// that a program prints, for a packet, for a channel. Patience bounds every such
// wait, so that a hang is reported with what was seen and not by a killed test
// binary; no test measures time against it.
package testkit

import "time"

// Patience bounds every wait of this package. It is far longer than any of them
// takes on a slow machine.
const Patience = time.Minute
