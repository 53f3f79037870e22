package server

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// SecondConfig says where the key of the second signature line lies.
type SecondConfig struct {
	SecondKeyFile string `help:"File with the ML-DSA-44 key of a second signature line on checkpoints (sealtraild trail second-key); empty: no such line. If the file is away, checkpoints go on without it and an alarm is raised." env:"SEALTRAIL_SECOND_KEY_FILE"`
}

// second opens the second key under the name of a log. Nil if there is to be
// none; a file that is away or malformed stops nothing.
func (p *publishing) second(shard pglog.Shard) func(context.Context) (publish.SecondSigner, error) {
	file := p.server.cfg.SecondKeyFile
	if file == "" {
		return nil
	}
	return func(context.Context) (publish.SecondSigner, error) {
		key, err := publish.LoadSecondKey(file, shard.Origin)
		if err != nil {
			return nil, err
		}
		return key, nil
	}
}
