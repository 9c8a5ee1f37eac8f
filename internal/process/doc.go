// Package process keeps processes running and lets them end in good order. It
// knows nothing of streams: what is supervised, and with which arguments, is its
// caller's business.
//
// # Supervision
//
// A Supervisor starts Units in stages and starts those that end again, with a
// Backoff. It stops the stages in reverse: TERM, then KILL when the grace period is
// over. A unit with a lock file is a process that may outlive its supervisor: when
// the lock is held at the start, its holder is taken over instead of starting
// another one. It is then watched and ended like a child.
//
//	            lock held                    ended
//	┌─ begin ─────────────► taken over ──┬───────────► back-off ─┐
//	│     └───────────────► child ───────┘                       │
//	│       lock free                    │ stop                  │
//	│                                    ▼                       │
//	│                            TERM … grace … KILL             │
//	└────────────────────────────────────────────────────────────┘
//
// # What ties processes together
//
//   - A Lock is a file that its process holds locked for its life. The kernel says
//     who holds it, so a stale file or a reused process id deceives nobody.
//   - A lifeline is a pipe whose writing end only the supervisor has. A process that
//     reads its end knows by EOF that the supervisor is gone, however it went.
//   - Signals gives two contexts: stop at the first signal, kill at the second, and
//     channels for what the other signals ask.
//   - Detach makes a daemon and waits until it is up; an Account is whom it goes on as.
//   - Together runs functions that live and end as one.
//
// The run directory (OpenRunDir) is where locks and sockets of one sluice are.
package process
