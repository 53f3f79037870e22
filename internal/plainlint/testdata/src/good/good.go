// Package good does with secrets what may be done with them.
package good

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"vault"

	"github.com/jackc/pgx/v5"
)

var errBroken = errors.New("broken")

func speaksOfThem(p vault.Plain, k *vault.Key, item vault.Item, tx pgx.Tx) error {
	fmt.Println(p.Len(), len(p.Expose()), k == nil, p.Equal(p))
	slog.Info("opened", slog.Int("bytes", p.Len()), slog.String("reference", item.Reference))
	if !bytes.Equal(p.Expose(), []byte("x")) {
		return fmt.Errorf("value of %s: %w", item.Reference, errBroken)
	}
	sum := sha256.Sum256(p.Expose())
	fmt.Printf("%x %v\n", sum, bytes.Contains(p.Expose(), nil))
	fmt.Println(string(vault.NotMarked()))
	_, err := vault.Unwrap("k")
	if err != nil {
		return fmt.Errorf("unwrapping: %w", err)
	}
	return tx.Exec("update t set n = $1", p.Len())
}

func otherVariables(p vault.Plain, o vault.Opener) {
	v := p.Expose()
	clear(v)
	w := []byte("harmless")
	fmt.Println(string(w), v[0] == 'x', v == nil, o.Close())
	for i, b := range v {
		fmt.Println(i, b > 3)
	}
}

// handsOn says so.
//
//sealtrail:secret
func handsOn(p vault.Plain) []byte { return p.Expose() } // want handsOn:"secret"

func keepsTheType(p vault.Plain) (vault.Plain, error) { return p, nil }

type opened struct {
	name   string
	values map[string]vault.Plain
}

func (o *opened) keep(name string, p vault.Plain) string {
	o.values[name] = p
	fmt.Println(o.name)
	return o.name
}
