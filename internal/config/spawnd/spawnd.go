// Package spawnd reads the configuration files of tcprelay and spawnd
// (event-driven-servers) as they are documented and as the programs read them.
package spawnd
