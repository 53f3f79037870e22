package complaint

// FactFits reports whether value has the type that fact has in the schema of
// kind. It asks about this one fact only, whatever else the kind requires.
func (v *Vocabulary) FactFits(kind, fact string, value any) bool {
	typ, _, ok := v.FactType(kind, fact)
	return ok && v.factFits(typ, value)
}
