// Package bad lets secrets out in every way that the analyzer knows.
package bad

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/template"
	"unsafe"
	"vault"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
)

type named string

type holder struct {
	p vault.Plain
}

var atStart = fmt.Sprint(vault.Plain{}) // want `secret given to fmt`

func direct(p vault.Plain, k *vault.Key, list []vault.Plain, byName map[string]vault.Plain, h holder, box vault.Box[vault.Plain]) {
	fmt.Println(p)                             // want `secret given to fmt`
	fmt.Println(&p)                            // want `secret given to fmt`
	_ = fmt.Sprintf("%d %s", 1, p.Expose())    // want `secret given to fmt`
	_ = fmt.Errorf("key %v", k)                // want `secret given to fmt`
	fmt.Println(list)                          // want `secret given to fmt`
	fmt.Println(byName)                        // want `secret given to fmt`
	fmt.Println(h)                             // want `secret given to fmt`
	fmt.Println(box)                           // want `secret given to fmt`
	fmt.Println(list[0].Expose())              // want `secret given to fmt`
	log.Print(k)                               // want `secret given to log`
	log.Default().Println(k)                   // want `secret given to log`
	slog.Info("m", "v", p)                     // want `secret given to log/slog`
	slog.Default().Info("m", slog.Any("v", p)) // want `secret given to log/slog`
	panic(p)                                   // want `secret given to panic`
}

func encoders(p vault.Plain, w *bytes.Buffer, tx pgx.Tx, db *sql.DB, t *template.Template) {
	_, _ = json.Marshal(p)                                         // want `secret given to encoding/json`
	_ = json.NewEncoder(w).Encode(map[string]any{"v": p.Expose()}) // want `secret given to encoding/json`
	_, _ = xml.Marshal(holder{p})                                  // want `secret given to encoding/xml`
	_ = t.Execute(w, p)                                            // want `secret given to text/template`
	_ = tx.Exec("update t set v = $1", p.Expose())                 // want `secret given to SQL`
	_, _ = db.Exec("update t set v = ?", p)                        // want `secret given to SQL`
	_ = attribute.Stringer("v", stringer{p})                       // want `secret given to OpenTelemetry`
	_ = attribute.String("v", string(p.Expose()))                  // want `secret given to OpenTelemetry` `secret made a string outside the opener`
	_ = errors.New(string(p.Expose()))                             // want `secret given to errors` `secret made a string outside the opener`
}

type stringer struct{ p vault.Plain }

func (stringer) String() string { return "" }

func strung(p vault.Plain) (n int) {
	v := p.Expose()
	s := string(v)                                     // want `secret made a string outside the opener`
	n += len(named(v))                                 // want `secret made a string outside the opener`
	n += len(hex.EncodeToString(v))                    // want `secret made a string outside the opener`
	n += len(base64.StdEncoding.EncodeToString(v[1:])) // want `secret made a string outside the opener`
	n += len(unsafe.String(&v[0], len(v)))             // want `secret made a string outside the opener`
	var b strings.Builder
	b.Write(v)
	n += len(b.String()) // want `secret made a string outside the opener`
	var buf bytes.Buffer
	buf.Write(v)
	n += len(buf.String())            // want `secret made a string outside the opener`
	fmt.Println(s)                    // want `secret given to fmt`
	return n + len(string([]rune(s))) // want `secret made a string outside the opener`
}

func flows(p vault.Plain, o vault.Opener, item vault.Item) {
	v := p.Expose()
	fmt.Println(v) // want `secret given to fmt`
	w := v
	x := w[2:5]
	fmt.Println(x) // want `secret given to fmt`
	var y = bytes.Clone(x)
	fmt.Println(y) // want `secret given to fmt`
	z := append([]byte("prefix"), y...)
	fmt.Println(z) // want `secret given to fmt`
	c := make([]byte, 9)
	copy(c, z)
	fmt.Println(c)               // want `secret given to fmt`
	fmt.Println(slices.Clone(c)) // want `secret given to fmt`
	dek, err := vault.Unwrap("k")
	fmt.Println(dek, err)       // want `secret given to fmt`
	fmt.Println(o.Open("f"))    // want `secret given to fmt`
	fmt.Println(item.Plaintext) // want `secret given to fmt`
	fmt.Println(item)           // want `secret given to fmt`
	var hidden any = p
	fmt.Println(hidden) // want `secret given to fmt`
	for _, part := range bytes.Fields(v) {
		fmt.Println(part) // want `secret given to fmt`
	}
	var r struct{ text []byte }
	r.text = v
	fmt.Println(r)      // want `secret given to fmt`
	fmt.Println(r.text) // want `secret given to fmt`
	func() {
		fmt.Println(v) // want `secret given to fmt`
	}()
	later := p.Expose
	_ = later
}

func hidden(p vault.Plain, k *vault.Key, w http.ResponseWriter, ctx context.Context) {
	fmt.Println(map[string]any{"v": p}) // want `secret given to fmt`
	fmt.Println([]any{1, k}...)         // want `secret given to fmt`
	args := []any{"a"}
	args = append(args, p)
	fmt.Println(args...) // want `secret given to fmt`
	fmt.Println(any(p))  // want `secret given to fmt`
	var x any = p.Expose()
	b, _ := x.([]byte)
	fmt.Println(b)                                    // want `secret given to fmt`
	defer fmt.Println(struct{ v []byte }{p.Expose()}) // want `secret given to fmt`
	_ = os.WriteFile("f", p.Expose(), 0o600)          // want `secret given to a file`
	_, _ = os.Stdout.Write(p.Expose())                // want `secret given to a file`
	_ = exec.Command("echo", string(b))               // want `secret given to another process` `secret made a string outside the opener`
	_ = context.WithValue(ctx, "k", p)                // want `secret given to a context`
	http.Error(w, string(b), 400)                     // want `secret given to an HTTP header or URL` `secret made a string outside the opener`
	w.Header().Set("X", string(b))                    // want `secret given to an HTTP header or URL` `secret made a string outside the opener`
	global = b                                        // want `secret kept in a variable of the package`
}

var global []byte

func returns(p vault.Plain) []byte {
	v := p.Expose()
	return v // want `exposed secret returned by a function without //sealtrail:secret`
}
