package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Publishing is the door's part about the published log.
type Publishing interface {
	LogFile(ctx context.Context, c custody.Caller, purpose string, year int, path string) (*custody.LogFile, error)
}

// LogYear is the year of a log in a path.
type LogYear struct {
	Year string `path:"year" pattern:"^[0-9]{4}$" doc:"Year of the log"`
}

type logTile struct {
	PurposeParam
	LogYear
	Path string `path:"path" doc:"Level and index of a hash tile, or entries and index of a bundle, as C2SP tlog-tiles spells them"`
}

type logBlob struct {
	PurposeParam
	LogYear
	Digest string `path:"digest" pattern:"^[0-9a-f]{64}$" doc:"SHA-256 that an entry names"`
}

type logSize struct {
	LogYear
	Size string `path:"size" pattern:"^[0-9]+$" doc:"Tree size"`
}

type logOutput struct {
	ContentType string `header:"Content-Type"`
	AuditEntry  string `header:"Audit-Entry"`
	Body        []byte
}

// publishedLog serves the published folder of each year below /v1/log/<year>/,
// by the paths of C2SP tlog-tiles.
func (s *service) publishedLog() {
	file := map[string]*huma.Response{"200": {Description: "The file as it is published", Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	add(s, operation{id: "getCheckpoint", method: http.MethodGet, path: "/v1/log/{year}/checkpoint", tag: "audit", responses: file,
		summary: "The newest signed checkpoint of a year's log (C2SP tlog-checkpoint)"},
		func(ctx context.Context, x *exchange, in *LogYear) (*logOutput, error) {
			return s.logFile(ctx, x, "", in.Year, "checkpoint")
		})
	add(s, operation{id: "getCheckpointOfSize", method: http.MethodGet, path: "/v1/log/{year}/checkpoints/{size}", tag: "audit", responses: file,
		summary: "The signed checkpoint of one tree size"},
		func(ctx context.Context, x *exchange, in *logSize) (*logOutput, error) {
			return s.logFile(ctx, x, "", in.Year, "checkpoints/"+in.Size)
		})
	add(s, operation{id: "getTile", method: http.MethodGet, path: "/v1/log/{year}/tile/{path...}", tag: "audit", responses: file,
		summary:     "A hash tile, or a bundle of entries (C2SP tlog-tiles)",
		description: "Hash tiles are every caller's. A bundle (entries/...) is for who may read the log, and each is an entry; the purpose is audit where none is named."},
		func(ctx context.Context, x *exchange, in *logTile) (*logOutput, error) {
			purpose, err := in.optional(x)
			if err != nil {
				return nil, err
			}
			return s.logFile(ctx, x, purpose, in.Year, "tile/"+in.Path)
		})
	add(s, operation{id: "getBlob", method: http.MethodGet, path: "/v1/log/{year}/blob/sha256/{digest}", tag: "audit", responses: file,
		summary: "What an entry names by digest: a policy bundle, a calendar, definitions"},
		func(ctx context.Context, x *exchange, in *logBlob) (*logOutput, error) {
			purpose, err := in.optional(x)
			if err != nil {
				return nil, err
			}
			return s.logFile(ctx, x, purpose, in.Year, "blob/sha256/"+in.Digest)
		})
}

// optional is the purpose, "" where none is named.
func (p PurposeParam) optional(x *exchange) (string, error) {
	if p.Query == "" && p.Header == "" {
		return "", nil
	}
	return p.purpose(x)
}

func (s *service) logFile(ctx context.Context, x *exchange, purpose, year, path string) (*logOutput, error) {
	n, err := strconv.Atoi(year)
	if err != nil || len(year) != 4 {
		return nil, x.newProblem(codeNotFound)
	}
	f, err := s.cfg.Door.LogFile(ctx, x.caller, purpose, n, path)
	if err != nil {
		return nil, err
	}
	out := &logOutput{ContentType: "application/octet-stream", Body: f.Contents}
	if f.Text {
		out.ContentType = "text/plain; charset=utf-8"
	}
	if f.Audit.Entry > 0 {
		out.AuditEntry = strconv.FormatUint(f.Audit.Entry, 10)
	}
	return out, nil
}
