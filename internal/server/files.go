package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sealtrail/sealtrail/internal/filestore"
)

// FileConfig says where sealed attachments and recordings lie: in a folder, or,
// with an endpoint, in a store that speaks S3.
type FileConfig struct {
	Files   string `help:"Folder of sealed attachments and recordings, on one file system. Default: files, beside the published folder." env:"SEALTRAIL_FILES"`
	MaxFile int64  `help:"Longest file that is taken, in bytes." default:"2147483648" env:"SEALTRAIL_MAX_FILE"`

	S3Endpoint   string `name:"s3-endpoint" help:"URL of an S3-speaking store, used in place of the folder." env:"SEALTRAIL_S3_ENDPOINT"`
	S3Bucket     string `name:"s3-bucket" help:"Its bucket, which exists." env:"SEALTRAIL_S3_BUCKET"`
	S3Prefix     string `name:"s3-prefix" help:"Folder in the bucket." env:"SEALTRAIL_S3_PREFIX"`
	S3Region     string `name:"s3-region" help:"Region to sign requests for." default:"us-east-1" env:"SEALTRAIL_S3_REGION"`
	S3AccessFile string `name:"s3-access-key-file" help:"File with the access key." env:"SEALTRAIL_S3_ACCESS_KEY_FILE"`
	S3SecretFile string `name:"s3-secret-key-file" help:"File with the secret key." env:"SEALTRAIL_S3_SECRET_KEY_FILE"`
	S3CACert     string `name:"s3-ca-cert" help:"PEM file of the store's CA." env:"SEALTRAIL_S3_CACERT"`
}

// OpenFiles is the configured store of sealed files. It makes no call and no
// folder.
func (c *Config) OpenFiles() (filestore.Store, error) {
	if c.S3Endpoint == "" {
		dir := c.Files
		if dir == "" {
			dir = filepath.Join(filepath.Dir(filepath.Clean(c.Published)), "files")
		}
		return filestore.NewFolder(dir), nil
	}
	access, err := Secret(c.S3AccessFile)
	if err != nil {
		return nil, err
	}
	secret, err := Secret(c.S3SecretFile)
	if err != nil {
		return nil, err
	}
	var ca []byte
	if c.S3CACert != "" {
		if ca, err = os.ReadFile(c.S3CACert); err != nil {
			return nil, fmt.Errorf("reading the CA of the S3 store: %w", err)
		}
	}
	return filestore.NewS3(filestore.S3Config{Endpoint: c.S3Endpoint, Bucket: c.S3Bucket, Prefix: c.S3Prefix, Region: c.S3Region,
		AccessKey: access, SecretKey: secret, CACert: ca})
}

// sweepFilesEvery is how often the store is looked through for what no record
// names. Such a blob is a day old before it goes, so more often brings nothing.
const sweepFilesEvery = 6 * time.Hour

// sweepFiles says at the start whether the store can be used and then removes,
// now and then, what uploads that broke off have left.
func (s *Server) sweepFiles(ctx context.Context) error {
	probe, cancel := context.WithTimeout(ctx, 10*time.Second)
	if err := s.files.Check(probe); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "the file store cannot be used", slog.String("cause", err.Error()))
	}
	cancel()
	return every(ctx, sweepFilesEvery, func(ctx context.Context) {
		swept, err := s.door.SweepFiles(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the file store was not swept", slog.String("cause", err.Error()))
		}
		if swept.Removed+swept.Unfinished > 0 {
			s.log.InfoContext(ctx, "swept the file store", slog.Int("count", swept.Removed+swept.Unfinished))
		}
	})
}
