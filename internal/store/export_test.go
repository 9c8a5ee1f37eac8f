package store

// Swept waits until a store in a directory has looked for leftovers everywhere.
func Swept(st Store) { st.(*keeper).back.(*disk).sweeping.Wait() }
