package netx

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// TestReportBytes compares with messages as the documents draw them. The checksum of
// MLD is the kernel's work.
func TestReportBytes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		build         func(int, netip.Addr, netip.Addr) ([]byte, netip.Addr)
		version       int
		group, source string
		dst, want     string
	}{
		{"IGMPv1", igmpReport, 1, "239.1.2.3", "", "239.1.2.3", "12 00 fcfa ef010203"},
		{"IGMPv2", igmpReport, 2, "239.1.2.3", "", "239.1.2.3", "16 00 f8fa ef010203"},
		{"IGMPv2 has no sources", igmpReport, 2, "239.1.2.3", "10.0.0.1", "239.1.2.3", "16 00 f8fa ef010203"},
		{"IGMPv3", igmpReport, 3, "239.1.2.3", "", "224.0.0.22", "22 00 eaf9 0000 0001 02 00 0000 ef010203"},
		{"IGMPv3, one source", igmpReport, 3, "232.1.2.3", "10.0.0.1", "224.0.0.22", "22 00 e8f7 0000 0001 01 00 0001 e8010203 0a000001"},
		{
			"MLDv1", mldReport, 1, "ff15::1:2", "", "ff15::1:2",
			"83 00 0000 0000 0000 ff150000000000000000000000010002",
		},
		{
			"MLDv2", mldReport, 2, "ff15::1:2", "", "ff02::16",
			"8f 00 0000 0000 0001 02 00 0000 ff150000000000000000000000010002",
		},
		{
			"MLDv2, one source", mldReport, 2, "ff35::1", "fd00::7", "ff02::16",
			"8f 00 0000 0000 0001 01 00 0001 ff350000000000000000000000000001 fd000000000000000000000000000007",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var source netip.Addr
			if tt.source != "" {
				source = netip.MustParseAddr(tt.source)
			}
			message, dst := tt.build(tt.version, netip.MustParseAddr(tt.group), source)
			if want := strings.ReplaceAll(tt.want, " ", ""); hex.EncodeToString(message) != want {
				t.Errorf("%x, want %s", message, want)
			}
			if dst.String() != tt.dst {
				t.Errorf("goes to %s, want %s", dst, tt.dst)
			}
		})
	}
}
