package origin

import (
	"net/http"

	"sluice/internal/logs"
)

// write takes an upload, or removes an object.
func (v *visit) write(to target) *refusal {
	switch {
	case to.mount == nil || to.Store == nil:
		return &refusal{status: http.StatusMethodNotAllowed, text: "nothing is taken here", header: [][2]string{{"Allow", allowRead}}}
	case (to.directory || to.name == ".") && !v.greets():
		return &refusal{status: http.StatusForbidden, text: "this is a directory, want the path of an object"}
	case v.r.Method == http.MethodDelete:
		v.told(v.site.receive.Delete(v.w, v.r, to.Store, to.name))
		return nil
	}
	var err error
	v.received, err = v.site.receive.Put(v.w, v.r, to.Store, to.name, v.r.URL.Path)
	v.told(err)
	return nil
}

// greets says whether it may be a source of the ingest profile that asks whether somebody listens, with an empty request to a directory.
func (v *visit) greets() bool { return v.site.conf.Ingest && isUpload(v.r) }

// takeChannel takes an upload that is a channel as long as it lasts.
func (v *visit) takeChannel(to target) *refusal {
	if to.directory {
		return &refusal{status: http.StatusForbidden, text: "this is a directory, want the path of a channel"}
	}
	var err error
	v.received, err = v.origin.uploads.Put(v.w, v.r, to.channel)
	v.told(err)
	return nil
}

// told tells of an upload that was not taken, or not whole: it was answered.
func (v *visit) told(err error) {
	if err == nil {
		return
	}
	if v.received > 0 {
		v.origin.counts.aborted.Add(1)
	}
	v.origin.limited.Info("upload not taken", logs.Client, v.peer.String(),
		logs.File, printable(v.r.URL.EscapedPath(), maxLoggedPath), logs.Code, v.w.status, logs.Reason, err)
}
