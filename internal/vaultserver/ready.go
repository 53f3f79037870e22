package vaultserver

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// makeReady initialises a new server, unseals it and switches the file audit
// device on. Crash between init and keepSecrets: the folder cannot be unsealed
// any more and has to be deleted; the error says so.
func (s *Server) makeReady(ctx context.Context) error {
	client, err := s.Client("")
	if err != nil {
		return err
	}
	initialised, err := client.Sys().InitStatusWithContext(ctx)
	if err != nil {
		return fmt.Errorf("asking Vault for its state: %w", err)
	}
	if initialised {
		if err := s.loadSecrets(); err != nil {
			return fmt.Errorf("%w (delete %s to start anew)", err, s.cfg.Dir)
		}
	} else if err := s.initialise(ctx, client); err != nil {
		return err
	}
	if err := s.Unseal(ctx); err != nil {
		return err
	}
	if s.program.OpenBao {
		return nil // its audit device stands in the configuration
	}
	return s.enableAudit(ctx)
}

func (s *Server) initialise(ctx context.Context, client *api.Client) error {
	res, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialising Vault: %w", err)
	}
	s.unsealKey, s.rootToken = res.KeysB64[0], res.RootToken
	s.cfg.Log.say("Vault initialised with one unseal share, kept with the root token in %s (0600): good for a demo, never for production", s.secretsFile())
	return s.keepSecrets()
}

func (s *Server) enableAudit(ctx context.Context) error {
	client, err := s.Client(s.rootToken)
	if err != nil {
		return err
	}
	devices, err := client.Sys().ListAuditWithContext(ctx)
	if err != nil {
		return fmt.Errorf("listing Vault's audit devices: %w", err)
	}
	if _, on := devices["file/"]; on {
		return nil
	}
	err = client.Sys().EnableAuditWithOptionsWithContext(ctx, "file", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": s.AuditLogPath(), "mode": "0600"},
	})
	if err != nil {
		return fmt.Errorf("switching Vault's audit device on: %w", err)
	}
	return nil
}

// Unseal unseals a private server with the share in its folder and returns when
// it is active.
func (s *Server) Unseal(ctx context.Context) error {
	if !s.ours {
		return ErrNotOurs
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	client, err := s.Client("")
	if err != nil {
		return err
	}
	if _, err := client.Sys().UnsealWithContext(ctx, s.unsealKey); err != nil {
		return fmt.Errorf("unsealing Vault: %w", err)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		// Active means unsealed and leader; until then every call is refused.
		health, err := client.Sys().HealthWithContext(ctx)
		if err == nil && health.Initialized && !health.Sealed && !health.Standby {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for Vault to become active: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Seal seals a private server: it forgets its keys until Unseal.
func (s *Server) Seal(ctx context.Context) error {
	if !s.ours {
		return ErrNotOurs
	}
	client, err := s.Client(s.rootToken)
	if err != nil {
		return err
	}
	if err := client.Sys().SealWithContext(ctx); err != nil {
		return fmt.Errorf("sealing Vault: %w", err)
	}
	return nil
}
