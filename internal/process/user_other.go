//go:build !linux

package process

// become changes the user. These systems have no right to raw sockets apart from root's.
func (a Account) become(bool) error { return a.setIDs() }
