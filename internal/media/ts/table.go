package ts

import (
	"bytes"
	"slices"
)

// maxTablePackets bounds the packets kept of one table PID. A PAT of the largest
// common size takes six; a PID on which other sections fill more than this
// between two copies of a table can not give that table verbatim.
const maxTablePackets = 64

// table follows one PID that carries sections of a PAT or of PMTs. It keeps the
// packets themselves, back to the oldest that the latest copy of each section
// needs, so that they can be sent again with continuity counters that fit what
// follows.
type table struct {
	pid      uint16
	id       uint8    // tablePAT or tablePMT
	programs []uint16 // whose PMTs are expected here; unused for a PAT

	packets  []byte
	first    uint64 // running number of the first of packets
	next     uint64 // running number of the packet that comes next
	sections []copyOf

	building []byte // the section in progress, empty when there is none
	began    uint64 // in which packet it began

	due   recurrence // of its sections, whatever is in them
	wrong uint64     // packets that are scrambled and, on the PID of the PAT, sections of other tables
}

// copyOf is a section and the packet in which its latest copy began.
type copyOf struct {
	section section
	began   uint64
}

// add takes the next packet of the PID, which stands at offset; lost says that packets before it are
// missing. It reports whether the set of sections changed; bad counts those that
// are damaged or lie.
func (t *table) add(p Packet, offset int64, lost bool, bad *uint64) (changed bool) {
	if lost {
		t.building = t.building[:0]
	}
	t.packets = append(t.packets, p...)
	t.next++
	changed = t.payload(p, offset, bad)
	t.trim()
	return changed
}

// payload goes through the sections in a packet (2.4.4.1): a pointer leads over
// the end of the old section to the first new one.
func (t *table) payload(p Packet, offset int64, bad *uint64) (changed bool) {
	b := p.Payload()
	if p.Scrambled() {
		t.wrong++
		return false
	}
	if len(b) == 0 {
		return false
	}
	if !p.PayloadStart() {
		if len(t.building) > 0 {
			_, changed = t.extend(b, bad)
		}
		return changed
	}
	old := 1 + int(b[0])
	if old > len(b) {
		*bad++
		t.building = t.building[:0]
		return false
	}
	if len(t.building) > 0 {
		_, changed = t.extend(b[1:old], bad)
	}
	t.building = t.building[:0]
	for b = b[old:]; len(b) > 0 && b[0] != 0xFF; {
		t.began = t.next - 1
		t.begins(b[0], offset)
		used, one := t.extend(b, bad)
		changed = changed || one
		if used == 0 {
			break
		}
		b = b[used:]
	}
	return changed
}

// begins notes the table_id of a section that begins.
func (t *table) begins(id uint8, offset int64) {
	switch {
	case id == t.id:
		t.due.see(offset)
	case t.id == tablePAT: // nothing else may be there (13818-1, 2.4.4.3)
		t.wrong++
	}
}

// extend adds bytes to the section in progress, ends it when it is complete, and
// returns how many were used: 0 when the section's length lies.
func (t *table) extend(b []byte, bad *uint64) (used int, changed bool) {
	had := len(t.building)
	t.building = append(t.building, b...)
	if len(t.building) < 3 {
		return len(b), false
	}
	length := sectionLength(t.building)
	if length > maxSection && t.building[0] == t.id {
		*bad++
		t.building = t.building[:0]
		return 0, false
	}
	if len(t.building) < length {
		return len(b), false
	}
	whole := section(t.building[:length])
	t.building = t.building[:0]
	return length - had, t.complete(whole, bad)
}

// complete stores a section that this PID should carry; s is not kept.
func (t *table) complete(s section, bad *uint64) (changed bool) {
	if s.table() != t.id {
		return false
	}
	for i := range t.sections {
		if bytes.Equal(t.sections[i].section, s) {
			t.sections[i].began = t.began
			return false
		}
	}
	if !s.valid() {
		*bad++
		return false
	}
	if !s.current() || t.id == tablePMT && !slices.Contains(t.programs, s.id()) {
		return false
	}
	t.sections = slices.DeleteFunc(t.sections, func(c copyOf) bool { return t.replaces(s, c.section) })
	t.sections = append(t.sections, copyOf{section: slices.Clone(s), began: t.began})
	return true
}

// replaces reports that old no longer holds once s came.
func (t *table) replaces(s, old section) bool {
	if t.id == tablePMT {
		return s.id() == old.id()
	}
	return !s.sameRun(old) || s.number() == old.number()
}

// expect sets whose PMTs the PID carries and forgets the others.
func (t *table) expect(programs []uint16) {
	t.programs = programs
	t.sections = slices.DeleteFunc(t.sections, func(c copyOf) bool {
		return !slices.Contains(programs, c.section.id())
	})
}

// trim drops the packets that no section needs any more.
func (t *table) trim() {
	need := t.next
	if len(t.building) > 0 {
		need = t.began
	}
	for i := range t.sections {
		need = min(need, t.sections[i].began)
	}
	if len(t.packets) > maxTablePackets*PacketSize {
		need = max(need, t.next-maxTablePackets)
	}
	if need > t.first {
		n := copy(t.packets, t.packets[int(need-t.first)*PacketSize:])
		t.packets, t.first = t.packets[:n], need
	}
}

// wholePAT reports that all sections of the PAT are here.
func (t *table) wholePAT() bool {
	return len(t.sections) > 0 && len(t.sections) == 1+int(t.sections[0].section.lastNumber())
}

// verbatim returns the packets that hold the latest copy of every section and all
// that followed them; nil when one of them is no longer kept.
func (t *table) verbatim() []byte {
	if len(t.sections) == 0 {
		return nil
	}
	for i := range t.sections {
		if t.sections[i].began < t.first {
			return nil
		}
	}
	return t.packets
}
