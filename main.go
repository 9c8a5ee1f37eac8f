// Command sluice relays streams: MPEG-TS on UDP or RTP multicast in, any number of
// HTTP clients out. `sluice -h` says how; the code begins in internal/app.
package main

import (
	"os"

	"sluice/internal/app"
)

func main() { os.Exit(app.Main(os.Args)) }
