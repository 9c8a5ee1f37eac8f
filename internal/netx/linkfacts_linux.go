package netx

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// factsFor is how long what the system tells of its interfaces is taken for true:
// reading /proc/net/igmp costs 0.3 ms for 500 groups, and all of them are reported one
// after the other.
const factsFor = time.Second

// linkFacts is one fact about each interface, by index, kept for a short time.
type linkFacts[T any] struct {
	read  func() (map[int]T, error)
	known map[int]T
	until time.Time
}

// of is the fact about one interface. An index that is not known is looked for at
// once: it may be new.
func (f *linkFacts[T]) of(ifindex int) (T, error) {
	now := time.Now()
	if fact, ok := f.known[ifindex]; ok && now.Before(f.until) {
		return fact, nil
	}
	known, err := f.read()
	if err != nil {
		var none T
		return none, err
	}
	f.known, f.until = known, now.Add(factsFor)
	fact, ok := known[ifindex]
	if !ok {
		return fact, fmt.Errorf("%w with index %d, or it has no group or no link-local address", ErrNoInterface, ifindex)
	}
	return fact, nil
}

// igmpVersions is the version that each interface with a group speaks.
func igmpVersions() (map[int]int, error) { return readFile("/proc/net/igmp", parseIGMP) }

// parseIGMP reads the lines of interfaces: index, name, number of groups and the
// version. The name may run into the colon behind it.
//
//	Idx	Device    : Count Querier	Group    Users Timer	Reporter
//	2	eth0      :     1      V3
//					010000E0     1 0:00000000		0
func parseIGMP(r io.Reader) (map[int]int, error) {
	versions := map[int]int{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		index, rest, ok := strings.Cut(s.Text(), "\t")
		i, err := strconv.Atoi(index)
		if !ok || err != nil {
			continue // the title, or a group
		}
		version := rest[strings.LastIndexByte(rest, ' ')+1:]
		v, err := strconv.Atoi(strings.TrimPrefix(version, "V"))
		if err != nil || v < 1 || v > 3 {
			return nil, fmt.Errorf("interface %d speaks IGMP %q: want V1, V2 or V3", i, version)
		}
		versions[i] = v
	}
	return versions, s.Err()
}

// mldSender is how MLD is spoken on an interface: the version and the address of the
// sender. RFC 3810 (5.2.13) wants a link-local one, which the kernel would not choose
// for a group of a wider scope.
type mldSender struct {
	ifname  string
	addr    netip.Addr
	version int
}

func mldSenders() (map[int]mldSender, error) {
	all, err := readFile("/proc/net/if_inet6", parseInet6)
	for index, s := range all {
		s.version = mldVersion(s.ifname)
		all[index] = s
	}
	return all, err
}

// parseInet6 keeps the first link-local address of each interface: address, index,
// prefix length, scope, flags (all hexadecimal), name.
//
//	fe800000000000000000000000000001 02 40 20 80     eth0
func parseInet6(r io.Reader) (map[int]mldSender, error) {
	all := map[int]mldSender{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) != 6 {
			return nil, fmt.Errorf("%q: want 6 fields", s.Text())
		}
		raw, err := hex.DecodeString(f[0])
		addr, ok := netip.AddrFromSlice(raw)
		index, err2 := strconv.ParseInt(f[1], 16, 32)
		flags, err3 := strconv.ParseUint(f[4], 16, 32)
		if err != nil || !ok || err2 != nil || err3 != nil {
			return nil, fmt.Errorf("%q: want address, index and flags in hexadecimal", s.Text())
		}
		_, have := all[int(index)]
		if !have && addr.IsLinkLocalUnicast() && flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			all[int(index)] = mldSender{ifname: f[5], addr: addr}
		}
	}
	return all, s.Err()
}

// mldVersion is 1 where that is forced; what is forced for all goes first, as in the
// kernel.
func mldVersion(ifname string) int {
	for _, conf := range []string{"all", ifname} {
		text, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + conf + "/force_mld_version")
		if v := strings.TrimSpace(string(text)); err == nil && v != "0" {
			if v == "1" {
				return 1
			}
			return 2
		}
	}
	return 2
}

func readFile[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	v, err := parse(f)
	if err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}
