package relay

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"sluice/internal/pool"
)

func TestWhatIsToldOfRemotes(t *testing.T) {
	out := new(strings.Builder)
	w := newWatch(slog.New(slog.NewTextHandler(out, nil)))
	view := func(name string, change func(*pool.View)) pool.View {
		v := pool.View{Remote: pool.Remote{Name: name}, Up: true}
		if change != nil {
			change(&v)
		}
		return v
	}
	down := func(v *pool.View) { v.Up, v.Reason = false, "status 503" }
	ejected := func(v *pool.View) { v.Ejected, v.LastError = true, "connection refused" }
	for i, step := range []struct {
		remotes []pool.View
		want    string
		unwell  bool
	}{
		{[]pool.View{view("a", nil), view("b", nil)}, ``, false},
		{[]pool.View{view("a", down), view("b", nil)}, `^WARN "remote down" pool=p remote=a reason="status 503"$`, false},
		{[]pool.View{view("a", down), view("b", nil)}, ``, false},
		{[]pool.View{view("a", down), view("b", ejected)}, `^WARN "remote ejected" pool=p remote=b reason="connection refused" until=\S+\nERROR "all remotes of a pool are down" pool=p remotes=2$`, true},
		{[]pool.View{view("a", down), view("b", ejected)}, ``, true},
		{[]pool.View{view("a", nil), view("b", nil)}, `^INFO "remote up" pool=p remote=a\nINFO "remote no longer ejected" pool=p remote=b\nINFO "a pool is back" pool=p$`, false},
		{[]pool.View{view("b", func(v *pool.View) { v.State = pool.Draining }), view("c", down)}, `^INFO "remote draining" pool=p remote=b\nWARN "remote down" pool=p remote=c reason="status 503"\nERROR "all remotes of a pool are down" pool=p remotes=2$`, false},
	} {
		out.Reset()
		w.look([]poolView{{"p", step.remotes}})
		got := regexp.MustCompile(`(?m)^time=\S+ level=(\w+) msg=`).ReplaceAllString(strings.TrimSpace(out.String()), "$1 ")
		if step.want == "" && got != "" || !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("step %d: got\n%s\nwant\n%s", i, got, step.want)
		}
		if w.unwell != step.unwell {
			t.Errorf("step %d: unwell is %v", i, w.unwell)
		}
	}
}
