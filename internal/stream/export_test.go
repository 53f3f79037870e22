package stream

import "time"

// Known is known, for the test over the registry.
var Known = known

// At sets the clock of deliveries.
func (w *Webhook) At(now func() time.Time) { w.now = now }

// MaxBytes sets when a full file is put aside.
func (f *File) MaxBytes(n int64) { f.max = n }
