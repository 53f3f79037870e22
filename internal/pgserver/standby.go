package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// StandbyConfig says where a standby lives and what the primary calls it.
type StandbyConfig struct {
	// Dir is the standby's folder, as Config.Dir. One used before is started
	// again with all that it holds.
	Dir string
	// Name is what synchronous_standby_names calls it: letters and digits.
	Name string
	// Settings are server parameters that override the defaults.
	Settings map[string]string
}

// Standby copies the running cluster (pg_basebackup), starts the copy as a
// standby that streams from it, and returns when it answers reading queries. It
// has the primary's roles and passwords. Whether commits wait for it says the
// primary, see SetSynchronous. The caller must Stop it.
func (s *Server) Standby(ctx context.Context, cfg StandbyConfig) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("locating the standby's folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the standby's folder: %w", err)
	}
	t := &Server{bin: s.bin, identity: s.identity, cfg: Config{Dir: dir, Settings: cfg.Settings, Log: s.cfg.Log}}
	if err := writePrivate(t.pwFile(), s.password); err != nil {
		return nil, err
	}
	t.fill = func(ctx context.Context) error { return t.copyOf(ctx, s, cfg.Name) }
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	if err := t.Restart(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// copyOf fills the data folder with a base backup of the primary, and settings
// by which it goes on streaming.
func (s *Server) copyOf(ctx context.Context, primary *Server, name string) error {
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("removing an unfinished standby: %w", err)
	}
	s.cfg.Log.say("copying the PostgreSQL %d cluster into a standby in %s", s.bin.Version, s.cfg.Dir)
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=%s", primary.port, Superuser, name)
	return s.make(exec.CommandContext(ctx, s.bin.Path("pg_basebackup"), "-D", fresh, "-d", from, "-R", "-X", "stream", "-c", "fast"),
		[]string{"PGPASSWORD=" + primary.password})
}

// SetSynchronous makes commits wait until the named standbys have them on disk;
// "" makes them wait for none. It returns when the server acts upon it.
func (s *Server) SetSynchronous(ctx context.Context, names string) error {
	if err := s.alter(ctx, "synchronous_standby_names", names); err != nil {
		return err
	}
	if names == "" {
		return nil
	}
	return s.until(ctx, "select exists (select from pg_stat_replication where sync_state in ('sync', 'quorum'))")
}

// Detach makes a standby stop streaming: from now on it lacks what the primary
// commits.
func (s *Server) Detach(ctx context.Context) error {
	if err := s.alter(ctx, "primary_conninfo", ""); err != nil {
		return err
	}
	return s.until(ctx, "select not exists (select from pg_stat_wal_receiver)")
}

// Promote makes a standby a primary and returns when it takes writes.
func (s *Server) Promote(ctx context.Context) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		var done bool
		err := conn.QueryRow(ctx, "select pg_promote(true, $1)", int(startWithin.Seconds())).Scan(&done)
		if err == nil && !done {
			err = errors.New("it did not become a primary in time")
		}
		return err
	})
}

// alter changes a setting for ever and reloads the configuration.
func (s *Server) alter(ctx context.Context, name, value string) error {
	return s.admin(ctx, func(conn *pgx.Conn) error {
		quoted, err := conn.PgConn().EscapeString(value)
		if err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "alter system set "+name+" = '"+quoted+"'"); err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "select pg_reload_conf()")
		return err
	})
}

// until asks again and again until the query says true.
func (s *Server) until(ctx context.Context, query string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return s.admin(ctx, func(conn *pgx.Conn) error {
		for {
			var yes bool
			if err := conn.QueryRow(ctx, query).Scan(&yes); err != nil || yes {
				return err
			}
			if _, err := conn.Exec(ctx, "select pg_sleep(0.02)"); err != nil {
				return err
			}
		}
	})
}

func (s *Server) admin(ctx context.Context, act func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.AdminDSN())
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL as superuser: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := act(conn); err != nil {
		return fmt.Errorf("operating PostgreSQL: %w", err)
	}
	return nil
}

// FailoverDSN is a connection URL for one role and database that leads to
// whichever of the servers takes writes.
func FailoverDSN(role, password, database string, servers ...*Server) string {
	hosts := ""
	for i, s := range servers {
		if i > 0 {
			hosts += ","
		}
		hosts += net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: hosts, Path: "/" + database,
		RawQuery: "sslmode=disable&target_session_attrs=read-write"}
	return u.String()
}
