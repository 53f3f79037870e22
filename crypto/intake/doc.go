// Package intake seals what must not get lost while nobody can take it: a front
// end that reaches neither service nor database nor key server seals to the
// institution's public intake key, keeps the envelope and a receipt in a [Spool]
// of plain files, and hands both in when somebody is there again.
//
// The one idea: a public key needs no server. Sealing is HPKE (RFC 9180) of the
// standard library with a hybrid KEM, so that an envelope kept today is not
// opened by a quantum computer later; institution, key version and time of
// sealing are bound to it, and its length is padded. Nobody can open it but the
// holder of the private half, who makes it from 32 bytes that she keeps wrapped.
//
//	key, err := intake.ParsePublicKey(bundle)       // pin key.Fingerprint()
//	envelope, receipt, err := key.Seal(intake.Draft{Source: "app", SourceID: "42", Body: draft}, time.Now())
//	err = spool.Put(envelope, receipt)              // durable when it returns
//
// The format is docs/formats/sealed-intake.md. The package must never know what
// a draft says, HTTP, or where the private half is kept; a client imports it
// without any code of a server.
package intake
