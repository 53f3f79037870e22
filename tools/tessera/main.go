// Command tessera lets Tessera, which is somebody else's, make a log for
// trailcheck to read and read a log that we published:
//
//	tessera -make -dir DIR -key FILE < entries    POSIX driver; each entry is <length>\n<bytes>
//	tessera -read -dir DIR -vkey KEY              client: the checkpoint, a proof for every 97th entry, consistency with half the size
//	tessera -fsck -dir DIR -vkey KEY              fsck on one goroutine; prints entries and the seconds of CPU that it took
//
// Tests and the bench build it; it is never linked into Sealtrail.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	dir := flag.String("dir", "", "folder of the log")
	key := flag.String("key", "", "file with the signing key in note form")
	vkey := flag.String("vkey", "", "verifier key")
	making := flag.Bool("make", false, "make a log")
	reading := flag.Bool("read", false, "read a log")
	checking := flag.Bool("fsck", false, "check a log")
	flag.Parse()
	err := errors.New("one of -make, -read and -fsck")
	switch ctx := context.Background(); {
	case *making:
		err = makeLog(ctx, *dir, *key)
	case *reading:
		err = readLog(ctx, *dir, *vkey)
	case *checking:
		err = checkLog(ctx, *dir, *vkey)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tessera:", err)
		os.Exit(1)
	}
}

// makeLog makes a log of the entries in their order.
func makeLog(ctx context.Context, dir, keyFile string) error {
	raw, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(raw)))
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return err
	}
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().WithCheckpointSigner(signer).
		WithBatching(256, 5*time.Millisecond).WithCheckpointInterval(100*time.Millisecond))
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	for want := uint64(0); ; want++ {
		var n int
		if _, err := fmt.Fscanf(in, "%d\n", &n); errors.Is(err, io.EOF) {
			return shutdown(ctx) // waits for the checkpoint that covers all
		} else if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		entry := make([]byte, n)
		if _, err := io.ReadFull(in, entry); err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		index, err := appender.Add(ctx, tessera.NewEntry(entry))()
		if err != nil {
			return fmt.Errorf("adding entry %d: %w", want, err)
		}
		if index.Index != want {
			return fmt.Errorf("entry %d got index %d", want, index.Index)
		}
	}
}

func readLog(ctx context.Context, dir, vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	f := client.FileFetcher{Root: dir}
	head, _, _, err := client.FetchCheckpoint(ctx, f.ReadCheckpoint, v, v.Name())
	if err != nil {
		return fmt.Errorf("reading the checkpoint: %w", err)
	}
	builder, err := client.NewProofBuilder(ctx, head.Size, f.ReadTile)
	if err != nil {
		return err
	}
	proven := 0
	for index := uint64(0); index < head.Size; index += 97 {
		bundle, err := client.GetEntryBundle(ctx, f.ReadEntryBundle, index/256, head.Size)
		if err != nil {
			return fmt.Errorf("reading entry %d: %w", index, err)
		}
		path, err := builder.InclusionProof(ctx, index)
		if err != nil {
			return fmt.Errorf("proving entry %d: %w", index, err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[index%256])
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, head.Size, leaf, path, head.Hash); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		proven++
	}
	if _, err := builder.ConsistencyProof(ctx, (head.Size+1)/2, head.Size); err != nil {
		return fmt.Errorf("proving consistency: %w", err)
	}
	_, err = fmt.Printf("read %d entries' checkpoint, proved %d\n", head.Size, proven)
	return err
}

func checkLog(ctx context.Context, dir, vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	began := cpu()
	f := fsck.New(v.Name(), v, client.FileFetcher{Root: dir}, hashes, fsck.Opts{N: 1})
	if err := f.Check(ctx); err != nil {
		return err
	}
	_, err = fmt.Printf("%.6f\n", (cpu() - began).Seconds())
	return err
}

func hashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	out := make([][]byte, len(b.Entries))
	for i, e := range b.Entries {
		out[i] = rfc6962.DefaultHasher.HashLeaf(e)
	}
	return out, nil
}

// cpu is what this process used of processors, its own work and the system's.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
