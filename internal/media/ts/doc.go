// Package ts reads MPEG transport streams (ISO/IEC 13818-1).
package ts
