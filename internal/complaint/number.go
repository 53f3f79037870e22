package complaint

import "crypto/rand"

// crockford is the base-32 alphabet without I, L, O and U, so that a number
// read over the telephone cannot be misheard into another one.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// ComplaintNo returns a new complaint number, "TS-" and ten characters of
// Crockford base 32: 50 random bits, so neither branch nor order nor volume
// can be read from it. Uniqueness is the database's constraint; callers draw
// again on a conflict.
func ComplaintNo() string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // crypto/rand.Read never fails (it ends the program instead).
	no := make([]byte, 0, 13)
	no = append(no, "TS-"...)
	for _, b := range raw {
		no = append(no, crockford[b&31])
	}
	return string(no)
}

// ValidComplaintNo reports whether s has the form of a complaint number.
func ValidComplaintNo(s string) bool {
	if len(s) != 13 || s[:3] != "TS-" {
		return false
	}
	for _, c := range []byte(s[3:]) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z' || c == 'I' || c == 'L' || c == 'O' || c == 'U') {
			return false
		}
	}
	return true
}
