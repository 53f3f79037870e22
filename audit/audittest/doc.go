// Package audittest builds published logs in memory and damages them, so that whoever writes against package audit/verify can
// test against real folders in three lines:
//
//	log := audittest.New(audittest.Config{})
//	log.Append(audittest.Bodies(300)...)
//	report, err := verify.Verify(ctx, log.Folder(), verify.Options{VerifierKey: log.VerifierKey()})
//
// The one idea: the folder is written by the same rules as the real publisher's (docs/formats/published-folder.md) but from a
// fixed key and a fixed clock, so that the same bodies always give the same bytes. The package must never be linked into a
// program that runs: its keys are public.
package audittest
