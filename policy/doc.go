// Package policy decides who may see which field of a complaint, why, and by which article.
//
// One idea carries it: the decision domain is finite. [Engine.Decide] first turns identifiers and times into a handful of booleans
// (relations: typed Go, with a Rego twin proved equal), then asks OPA about finite attributes only (access: the readable chapter in
// policy/confidentiality). So every request that can ever be made can be enumerated, checked, cached without staleness and looked up
// again by an auditor.
//
// The zero [Decision] refuses and no other package can make or widen one. Whatever is unknown, undefined, late or broken refuses.
//
// The package must never know storage, keys, the log or HTTP. Record values never enter a decision: only names of fields do.
package policy
