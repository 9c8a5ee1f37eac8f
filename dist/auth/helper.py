#!/usr/bin/env python3
"""An authorization helper of sluice in Python: each token has its channels.

  auth:
    helper: ["/usr/share/sluice/auth/helper.py", "/etc/sluice/tokens"]

A line of the file is NAME TOKEN [PATTERN...]; a # begins a comment. A pattern (* and ? as
in file names) is of sources without their query: udp://239.1.1.*, $news. Without patterns
the token is for every source. The file is read again when it has changed; one that cannot
be read lets nobody in. The token is the parameter "auth" of the source:

  http://HOST:4046/udp/239.1.1.1:5000?auth=TOKEN

docs/auth.md has the protocol. Standard output is for answers only; standard error goes to
the log.
"""

import fnmatch
import hmac
import os
import sys
from urllib.parse import parse_qs


class Tokens:
    """The token file, as it was when it changed last."""

    def __init__(self, path):
        self.path = path
        self.stamp = None
        self.list = []

    def refresh(self):
        info = os.stat(self.path)
        stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
        if stamp == self.stamp:
            return
        with open(self.path, encoding="utf-8") as lines:
            words = [line.split() for line in lines if not line.lstrip().startswith("#")]
        self.list = [(w[1].encode(), w[2:]) for w in words if len(w) >= 2]
        self.stamp = stamp

    def allow(self, source):
        self.refresh()
        address, _, query = source.partition("?")
        given = parse_qs(query).get("auth", [""])[0].encode()
        allowed = False
        for token, patterns in self.list:  # all of them: the time taken tells nothing
            if hmac.compare_digest(given, token):
                allowed = not patterns or any(matches(address, p) for p in patterns)
        return allowed


def matches(address, pattern):
    # The brackets of IPv6 are no set of letters.
    return fnmatch.fnmatchcase(address, pattern.replace("[", "[[]"))


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: helper.py TOKEN-FILE")
    tokens = Tokens(sys.argv[1])
    for line in sys.stdin:
        # A1 192.0.2.7:50905 udp://239.1.1.1:5000?auth=TOKEN - [LISTENER]
        fields = line.split()
        if len(fields) < 4:
            continue
        try:
            allowed = tokens.allow(fields[2])
        except (OSError, ValueError) as err:
            print(f"the tokens cannot be read: {err}", file=sys.stderr, flush=True)
            allowed = False
        print(fields[0], 0 if allowed else 1, flush=True)


if __name__ == "__main__":
    main()
