//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/report"
	"sluice/internal/testkit"
)

// testRenewal captures on the far end of a cable what is said of the groups: reports again
// and again, and no leave before the channel ends.
func testRenewal(t *testing.T) {
	testkit.Need(t, "tcpdump")
	hosts := testkit.TwoHosts(t)
	p := run(t, settings{args: []string{"--interface", hosts.Here.Interface}, config: "renew: 1s\nlinger: 0s\n"})
	for _, c := range []struct{ name, group, filter string }{
		{"IGMP", newGroup(), "igmp"},
		{"MLD", "[ff15::77:2]:5000", "ip6 proto 0"}, // behind a hop-by-hop header
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr := regexp.QuoteMeta(strings.Trim(c.group[:strings.LastIndex(c.group, ":")], "[]"))
			capture := testkit.StartCommand(t, hosts.Command("tcpdump", "-i", hosts.There.Interface, "-n", "-l", "-v", "-Z", "root", c.filter))
			capture.WaitLine(`listening on`)
			testkit.StartCommand(t, hosts.Command(program(), "send", h264.file(t), "--loop",
				"--to", "rtp://"+c.group, "--interface", hosts.There.Interface))
			v := watch(t, p.url("/rtp/"+c.group))
			// A join is to_ex, a renewal is_ex; a leave is to_in (RFC 3376, 4.2.12; RFC 3810, 5.2.12).
			renewals := regexp.MustCompile(`gaddr ` + addr + ` is_ex`)
			leaves := regexp.MustCompile(`gaddr ` + addr + ` to_in`)
			testkit.Eventually(t, func() error {
				if n := len(renewals.FindAllString(capture.Output(), -1)); n < 4 {
					return fmt.Errorf("%d renewals seen:\n%s", n, capture.Output())
				}
				return nil
			})
			if leaves.MatchString(capture.Output()) {
				t.Errorf("the group was left:\n%s", capture.Output())
			}
			v.unbroken()
			ch, _, err := channel(p.status(), c.group)
			if err != nil {
				t.Fatal(err)
			}
			if s := ch.Sources[0]; s.RTPLost != 0 || s.Continuity != 0 || s.Legs[0].KernelLost != 0 || *ch.Health != (report.Health{}) {
				t.Errorf("something was lost: %+v, health %+v", s, ch.Health)
			}
			v.close()
			capture.WaitLine(`gaddr ` + addr + ` to_in`) // what a leave looks like
		})
	}
}
