package config

import (
	"slices"
	"time"

	"sluice/internal/lineup"
	"sluice/internal/origin"
)

// settings binds the keys below origin to the fields of o. A key that GPAC's httpout has is called as there.
func (o *OriginPart) settings() table {
	return slices.Concat(o.doorSettings(), o.placeSettings(), o.rightSettings(), o.limitSettings(), o.answerSettings(), o.uploadSettings(),
		o.OriginSinkSettings.settings("origin."))
}

// doorSettings are where requests come in.
func (o *OriginPart) doorSettings() table {
	return table{
		{"origin.listen", originDoors(&o.Listen), restart, "Where clients ask the origin: [https://]HOST:PORT. Empty = :8080, with origin.cert https://:8443, with origin.user_port nowhere else."},
		{"origin.user_port", boolean{&o.UserPort}, restart, "Whether the user ports (listen) carry the origin, too: what is no request of gws is the origin's."},
		{"origin.admin", door{&o.Admin}, restart, "Status page of the origin. Whoever reaches it sees all of it. Empty = none."},
		{"origin.cert", path{&o.Cert}, restart, "Certificate chain (PEM) for listeners with https://. It is read again when it changes. Empty = tls.certificate."},
		{"origin.pkey", path{&o.Key}, restart, "Its private key (PEM)."},
	}
}

// placeSettings are what there is to read and to write.
func (o *OriginPart) placeSettings() table {
	return table{
		{"origin.rdirs", places(&o.ReadDirs), live, "What is served: directories, which are made when they are not there, gmem for the memory, or a file of rules (creds). One is /; of several those with a name are below /NAME/, others below their own last element."},
		{"origin.rdirs_merge", boolean{&o.Merge}, live, "Whether several directories without a name are all searched under /, in order."},
		{"origin.wdir", place{&o.WriteDir}, live, "Directory into which clients upload (PUT, POST, DELETE), or gmem. It is not read from unless it stands in rdirs, too. Empty = none."},
		{"origin.memory", size{&o.Memory, 1 << 16}, restart, "Bytes that gmem keeps at most; the oldest segments go first."},
		{"origin.max_cache_segs", count{&o.Retention.Segments, -maxCount, maxCount}, restart, "Segments that are kept of each representation: in memory so many, or the time shift if that is less; on disk -N keeps N, N at least the time shift where one is known, else all."},
		{"origin.timeshift", count{&o.Retention.TimeShift, 0, maxCount}, restart, "Time shift, in segments. 0 = what the manifest says."},
		{"origin.sources", prefixesOf(&o.Sources), live, "Beginnings of paths, such as /ingest/, below which an upload is no object but the channel upload:///PATH, and is stored nowhere. / = all uploads."},
	}
}

// rightSettings are who may do what.
func (o *OriginPart) rightSettings() table {
	return table{
		{"origin.users", path{&o.UsersFile}, live, "File of the users that rules name, as `sluice user` writes it or GPAC does. Empty = nobody is known."},
		{"origin.realm", word{&o.Realm}, live, "What browsers call the place when they ask for a password. Empty = sluice."},
		{"origin.wrong_password", either{&o.Forbid, "403", "401"}, live, "The answer to a wrong password; 403 is what DASH-IF ingest wants."},
		{"origin.auth.hook", checked{&o.AuthHook, checkWeb, "URL"}, live, "URL that is asked by POST whether a request may be, as auth.hook. Empty = none."},
		{"origin.auth.timeout", duration{to: &o.AuthTime, least: time.Millisecond}, live, "How long it may take."},
		{"origin.js", path{&o.JS}, live, "Script that sees each request (JavaScript, httpout.on_request). Empty = none."},
		{"origin.js_workers", count{&o.JSWorkers, 0, maxThreads}, live, "Requests that it works on at once. 0 = one a core, 4 at most."},
		{"origin.js_limit", duration{to: &o.JSLimit, least: time.Millisecond}, live, "A call of the script that takes longer is interrupted, and the request answered with 500."},
		{"origin.js_wait", duration{to: &o.JSWait, least: time.Millisecond}, live, "How long a request may wait for the script's send()."},
	}
}

// limitSettings are how much is served, and for how long.
func (o *OriginPart) limitSettings() table {
	return table{
		{"origin.maxc", count{&o.MaxConns, 0, maxCount}, live, "Connections in all. 0 = no limit."},
		{"origin.maxp", count{&o.MaxPerPeer, 0, maxCount}, live, "Connections of one address, in IPv6 of one /64. 0 = no limit."},
		{"origin.limit_close", boolean{&o.CloseLimit}, live, "Whether who is beyond them is closed without an answer; else he gets 503."},
		{"origin.timeout", duration{to: &o.Idle, least: time.Second, zero: true}, live, "A connection without a request is closed after so long. 0s = never."},
		{"origin.stall", duration{to: &o.Take, least: time.Second, zero: true}, live, "A client that takes no byte for so long is closed. 0s = never."},
		{"origin.upload_stall", duration{to: &o.Stall, least: time.Second, zero: true}, live, "An upload that sends no byte for so long is broken off. 0s = never."},
		{"origin.close", boolean{&o.Close}, live, "Whether each connection is closed after one answer."},
		{"origin.max_client_errors", count{&o.MaxErrors, 0, maxCount}, live, "So many errors in a row close a connection of HTTP/1. 0 = no limit."},
		{"origin.quit", boolean{&o.Quit}, restart, "Whether the origin ends when all that it writes, sends and pushes is over and no client is left."},
	}
}

// answerSettings are how requests are answered.
func (o *OriginPart) answerSettings() table {
	return table{
		{"origin.dlist", boolean{&o.Listing}, live, "Whether directories are listed; else 403."},
		{"origin.cache_control", checked{&o.Cache, checkHeaderValue, "text"}, live, "Cache-Control of complete objects; none = neither that nor ETag. Empty = nothing is said."},
		{"origin.zmax", size{&o.Compress, 0}, live, "Text of up to so many bytes is compressed for clients that want it. 0 = none."},
		{"origin.zmin", size{&o.CompressMin, 0}, live, "Text of fewer bytes is not."},
		{"origin.norange", boolean{&o.NoRange}, live, "Whether ranges are not looked at."},
		{"origin.multirange", either{&o.Concat, "concat", "multipart"}, live, "How several ranges are answered: as multipart/byteranges, or one behind the other."},
		{"origin.cte", either{&o.Whole, "false", "true"}, live, "Whether what grows is sent as it grows (chunked); else who asks for it waits until it is complete."},
		{"origin.cors", choice[origin.CORS]{&o.CORS, []string{"auto", "off", "on"}}, live, "When every other site's pages may read: when the request has Origin, never, always."},
		{"origin.isolate", boolean{&o.Isolate}, live, "Whether COEP and COOP headers come with those of CORS."},
		{"origin.sutc", boolean{&o.ServerUTC}, live, "Whether each answer has the time (Server-UTC, in milliseconds)."},
		{"origin.hdrs", headers(&o.Headers), live, "Headers of each answer: names and values in turn."},
		{"origin.mime", checked{&o.Type, lineup.CheckContentType, "media type"}, live, "Content-Type of everything. Empty = by the name, by what the uploader said, by the content."},
		{"origin.user_agent", checked{&o.Agent, checkHeaderValue, "text"}, live, "The Server header, and User-Agent of pushes. Empty = sluice and its version."},
		{"origin.time", checked{&o.Time, checkPath, "path"}, live, "Path of the clock, for UTCTiming of DASH. Empty = none."},
		{"origin.wait_next", duration{to: &o.WaitNext}, live, "A request for the next segment, which is not there yet, is held so long. 0s = 404 at once."},
		{"origin.reqlog", requestLog{&o.Log}, live, "Requests that are told of in the log, whatever its level: GET, PUT, POST, DELETE, HEAD, OPTIONS with commas between, * for all, REC for what is written; with - in front their ends are not. Empty = none."},
	}
}

// uploadSettings are how uploads are taken.
func (o *OriginPart) uploadSettings() table {
	return table{
		{"origin.maxs", size{&o.MaxSize, 0}, live, "Bytes of an upload that is stored, or given to a script. 0 = no limit."},
		{"origin.on_abort", either{&o.KeepAborted, "keep", "delete"}, live, "What becomes of an upload that breaks off."},
		{"origin.ingest", boolean{&o.Ingest}, live, "Whether uploads are taken as DASH-IF Live Media Ingest 1.2 has it."},
		{"origin.ingest_points", prefixesOf(&o.Points), live, "With ingest, its publishing points: directories, such as /live/, of the place that is written. Elsewhere nothing is taken (404). Empty = all of it is one."},
	}
}

// settings of all sinks stand below origin., those of one below its name.
func (s *OriginSinkSettings) settings(group string) table {
	return table{
		{group + "ice", boolean{&s.ICE}, live, "Whether sinks speak as Icecast does: headers icy-… and ice-…, and titles in the stream for those who ask."},
		{group + "hold", boolean{&s.Hold}, live, "Whether the source of a sink begins with the first client, as a file does in any case; else it runs from the start on."},
		{group + "reopen", boolean{&s.Reopen}, live, "Whether a sink whose file was sent to its end is there for the next client; else it is 404 from then on."},
		{group + "max_async_buf", size{&s.Buffer, 0}, live, "A client of a sink that lets more bytes wait is closed. 0 = what `slow` says of the channel."},
	}
}

// settings binds the keys below a sink's name to its fields.
func (s *OriginSink) settings() table {
	return slices.Concat(table{
		{"channel", word{&s.Channel}, live, "What is sent: $NAME of a channel, or a source. Necessary."},
		{"path", checked{&s.Path, checkPlainPath, "path"}, live, "Where it is. Empty = / and the name of the sink."},
		{"type", checked{&s.Type, lineup.CheckContentType, "media type"}, live, "Content-Type. Empty = by the ending of the path, else the channel's."},
		{"title", checked{&s.Title, checkHeaderValue, "text"}, live, "What it is called (icy-name, and the title in the stream). Empty = nothing is said."},
		{"bitrate", count{&s.Bitrate, 0, maxCount}, live, "icy-br, in kbit/s. 0 = measured where that can be."},
		{"headers", headers(&s.Headers), live, "Headers of its answers, such as ice-genre: names and values in turn."},
	}, s.OriginSinkSettings.settings(""))
}

// settings binds the keys below a record's name to its fields.
func (r *OriginRecord) settings() table {
	return table{
		{"channel", word{&r.Channel}, live, "What is written: $NAME of a channel, or a source. Necessary."},
		{"path", checked{&r.Path, checkPlainPath, "path"}, live, "The object in the first of rdirs, or in gmem if there are none, that it is written into. Empty = the name of the record."},
		{"again", duration{to: &r.Again, least: time.Millisecond, zero: true}, live, "When it has ended it is begun anew after so long. 0s = it is not."},
	}
}

// settings binds the keys below a push's name to its fields.
func (p *OriginPush) settings() table {
	return table{
		{"from", word{&p.From}, live, "What is uploaded: $NAME of a channel or a source, as one object; the absolute path of a directory, or gmem. Of a directory that clients of this origin upload into, it is what they upload; of any other, what other programs write. Necessary."},
		{"to", webs(&p.To), live, "Where to: URLs, of a directory what appears in it goes below them. Necessary."},
		{"post", boolean{&p.Post}, live, "Whether it is POST, not PUT."},
		{"cte", either{&p.Whole, "false", "true"}, live, "Whether objects are sent as they grow (chunked); else whole, with their length."},
		{"ka", boolean{&p.Keep}, live, "Whether it goes on after a failure and tries again; else the push ends."},
		{"timeout", orNever{&p.Timeout}, live, "A failure that lasts longer gives the object up. 0s = none does."},
		{"tries", count{&p.Tries, 1, maxTries}, live, "How often an object is begun at a server."},
		{"delete", boolean{&p.Delete}, live, "Whether what is removed here is removed there (DELETE)."},
		{"headers", privateHeaders{headers(&p.Headers)}, live, "Headers of the requests: names and values in turn."},
		{"ca", path{&p.CA}, live, "File of CAs (PEM) that are believed. Empty = the system's."},
		{"verify", boolean{&p.Verify}, live, "Whether the certificate of the server must be good."},
	}
}
