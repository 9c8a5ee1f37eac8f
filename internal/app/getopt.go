package app

import (
	"fmt"
	"strings"
)

// option is an option of a command line in the way of getopt(3).
type option struct {
	letter byte
	value  string
}

// getopt reads args as getopt(3) does: letters are the options, a colon behind those that
// have a value. Options may stand together (-nb4096) and behind the other words, which are
// rest; all behind -- is rest. The error is the text of getopt without the program's name; the
// options before it count.
func getopt(args []string, letters string) (options []option, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return options, append(rest, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		for j := 1; j < len(arg); j++ {
			at := strings.IndexByte(letters, arg[j])
			if at < 0 || arg[j] == ':' {
				return options, rest, fmt.Errorf("invalid option -- '%c'", arg[j])
			}
			if at+1 >= len(letters) || letters[at+1] != ':' {
				options = append(options, option{letter: arg[j]})
				continue
			}
			value := arg[j+1:]
			if value == "" {
				if i++; i >= len(args) {
					return options, rest, fmt.Errorf("option requires an argument -- '%c'", arg[j])
				}
				value = args[i]
			}
			options = append(options, option{arg[j], value})
			break
		}
	}
	return options, rest, nil
}
