// Command plainvet runs the plaintext analyzer over packages, for go vet:
//
//	go build -o .cache/plainvet ./internal/plainvet
//	go vet -vettool=.cache/plainvet ./...
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/sealtrail/sealtrail/internal/plainlint"
)

func main() { unitchecker.Main(plainlint.New(plainlint.Project())) }
