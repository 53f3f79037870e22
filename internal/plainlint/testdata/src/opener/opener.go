// Package opener has one function that may make strings, and one that may not.
package opener

import (
	"fmt"
	"vault"
)

type door struct{}

func (door) Mask(p vault.Plain) string {
	v := string(p.Expose())
	fmt.Println(v) // want `secret given to fmt`
	return v
}

func (door) Other(p vault.Plain) string {
	return string(p.Expose()) // want `secret made a string outside the opener` `exposed secret returned`
}

func mask(p vault.Plain) string { return string(p.Expose()) }
