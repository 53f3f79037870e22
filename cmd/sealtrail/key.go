package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

type keyCmd struct {
	Status   keyStatusCmd   `cmd:"" help:"Master keys, what is wrapped under each version, epochs and jobs."`
	Propose  keyProposeCmd  `cmd:"" help:"Propose to give up older versions of the record key."`
	Confirm  keyConfirmCmd  `cmd:"" help:"Confirm a closing that another custodian proposed."`
	Withdraw keyWithdrawCmd `cmd:"" help:"Take a closing back that was not carried out."`
}

type keyStatusCmd struct{}

// Run shows the keys.
func (c *keyStatusCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/keys", purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		var keys struct {
			Keys []struct {
				Name, State   string
				Latest        int `json:"latest_version"`
				MinDecryption int `json:"min_decryption_version"`
				MinAvailable  int `json:"min_available_version"`
				Wrapped       []struct{ Version, Records, Files, Intake int }
				Findings      []string
			}
			Epochs []struct {
				Version     int
				State       string
				ProposedBy  string `json:"proposed_by"`
				ConfirmedBy string `json:"confirmed_by"`
				NotBefore   string `json:"not_before"`
			}
		}
		if err := a.into(&keys); err != nil {
			return err
		}
		fmt.Fprintln(w, s.word("密钥\t状态\t最新版本\t最低可解密\t最低保留\t告警", "KEY\tSTATE\tNEWEST\tMIN DECRYPTION\tMIN AVAILABLE\tFINDINGS"))
		for _, k := range keys.Keys {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%v\n", k.Name, k.State, k.Latest, k.MinDecryption, k.MinAvailable, k.Findings)
		}
		for _, k := range keys.Keys {
			for _, v := range k.Wrapped {
				fmt.Fprintf(w, s.word("%s 第 %d 版: %d 条记录、%d 个文件、%d 个受理密钥\n", "%s version %d: %d records, %d files, %d intake keys\n"), k.Name, v.Version, v.Records, v.Files, v.Intake)
			}
		}
		for _, e := range keys.Epochs {
			fmt.Fprintf(w, s.word("关闭第 %d 版之前: %s(%s / %s)不早于 %s\n", "closing below version %d: %s (%s / %s), not before %s\n"), e.Version, e.State, e.ProposedBy, e.ConfirmedBy, toTheSecond(e.NotBefore))
		}
		return nil
	})
}

// epochArgs name a closing; the versions below are given up for ever.
type epochArgs struct {
	Version int `arg:"" help:"The oldest version of the record key that stays."`
	Confirm int `required:"" help:"The version again: what is older is given up for ever." placeholder:"VERSION"`
}

func (c *epochArgs) check(s *session) error {
	if c.Confirm != c.Version {
		return s.notRepeated("版本号", "the version")
	}
	return nil
}

type keyProposeCmd struct{ epochArgs }

// Run proposes.
func (c *keyProposeCmd) Run(s *session) error {
	if err := c.check(s); err != nil {
		return err
	}
	return s.post("/v1/keys/epochs", map[string]int{"version": c.Version})
}

type keyConfirmCmd struct{ epochArgs }

// Run confirms.
func (c *keyConfirmCmd) Run(s *session) error {
	if err := c.check(s); err != nil {
		return err
	}
	return s.post("/v1/keys/epochs/"+strconv.Itoa(c.Version)+"/confirm", nil)
}

type keyWithdrawCmd struct {
	Version int `arg:"" help:"The oldest version of the record key that would have stayed."`
}

// Run withdraws.
func (c *keyWithdrawCmd) Run(s *session) error {
	return s.post("/v1/keys/epochs/"+strconv.Itoa(c.Version)+"/withdraw", nil)
}
