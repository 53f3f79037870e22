package plainlint

import (
	_ "embed"
	"encoding/json"
)

// openers.json is the list of this project: import path and name of each
// function that may make a secret a string, with the reason.
//
//go:embed openers.json
var openers []byte

// Project is the Config of this project. It panics if the list, which is part
// of the program, is not JSON.
func Project() Config {
	var list map[string]string
	if err := json.Unmarshal(openers, &list); err != nil {
		panic(err)
	}
	return Config{Openers: list}
}
