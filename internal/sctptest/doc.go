// Package sctptest holds the tests that need a kernel with SCTP. They run in a virtual
// machine (testkit.InVM) and stand behind the build tag e2e:
//
//	go test -tags e2e ./internal/sctptest
package sctptest
