// Command tilepaths prints the path that Tessera's api/layout gives to each "<level> <index> <partial width>" line of its input;
// level "entries" means an entry bundle. A test of audit/publish compares them with our own. Tessera never enters the product's
// go.mod, so the comparison lives in this module.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"

	"github.com/transparency-dev/tessera/api/layout"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var level string
		var index uint64
		var width uint8
		if _, err := fmt.Sscan(in.Text(), &level, &index, &width); err != nil {
			fmt.Fprintln(os.Stderr, "tilepaths:", err)
			os.Exit(1)
		}
		if level == "entries" {
			fmt.Println(layout.EntriesPath(index, width))
			continue
		}
		l, err := strconv.ParseUint(level, 10, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, "tilepaths:", err)
			os.Exit(1)
		}
		fmt.Println(layout.TilePath(l, index, width))
	}
}
