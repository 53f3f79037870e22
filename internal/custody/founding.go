package custody

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// founderLife is how long a founding appointment lasts: long enough for the
// founders to appoint successors by the ordinary way of two persons.
const founderLife = 365 * 24 * time.Hour

// founderTraining is how long the operator's word stands for the founders'
// confidentiality training: until they have had time to take the course and
// record it for each other.
const founderTraining = 90 * 24 * time.Hour

// Found enters the first two security administrators of an institution, who
// appoint everybody else. It works once, while nobody holds any duty, and is
// logged as what it is: an act of the operator that no decision covers.
func (d *Door) Found(ctx context.Context, founders [2]Person) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if founders[0].ID == founders[1].ID {
		return &ConflictError{Code: "self_approval"}
	}
	at := d.now()
	operator, err := d.cfg.Log.Alias(ctx, "operator")
	if err != nil {
		return logError(err)
	}
	var events []audit.Body
	rows, duties := make([]store.Person, len(founders)), make([]store.Duty, len(founders))
	for i, p := range founders {
		p.Kind, p.Status = Human, "active"
		if err := checkPerson(p); err != nil {
			return err
		}
		var uses []keyUsed
		if rows[i], uses, err = d.personRow(ctx, p); err != nil {
			return err
		}
		alias, err := d.cfg.Log.Alias(ctx, p.ID)
		if err != nil {
			return logError(err)
		}
		added := audit.Facts{"person": alias, "department": p.Department}
		nameKeys(added, uses)
		duties[i] = store.Duty{Institution: d.cfg.Institution, ID: newUUID(), Person: p.ID, Role: "secadmin", Department: p.Department,
			AppointedBy: "operator", Level: complaint.LevelRank(complaint.LevelGeneral), From: at, Until: at.Add(founderLife)}
		events = append(events,
			audit.Body{At: at, Stage: audit.StageEvent, Kind: "person.added", Actor: audit.Actor{ID: operator}, Subject: "person:" + alias,
				Facts: added, Commit: staffCommit(rows[i].StaffToken)},
			audit.Body{At: at, Stage: audit.StageEvent, Kind: "duty.appointed", Actor: audit.Actor{ID: operator}, Subject: "person:" + alias,
				Facts: audit.Facts{"person": alias, "duty": dutyCode(duties[i].ID), "role": "secadmin", "level": complaint.LevelGeneral,
					"until": stamp(duties[i].Until), "founding": true, "confirmed": true}},
			audit.Body{At: at, Stage: audit.StageEvent, Kind: "training.passed", Actor: audit.Actor{ID: operator},
				Subject: "person:" + alias, Facts: audit.Facts{"person": alias, "course": confidentialityCourse, "valid_until": stamp(at.Add(founderTraining))}})
	}
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		taken, err := d.cfg.Store.AnyDuty(ctx, tx, d.cfg.Institution)
		if err != nil {
			return err
		}
		if taken {
			return &ConflictError{Code: "already_decided", State: "founded"}
		}
		for i, row := range rows {
			if err := d.foundOne(ctx, tx, row, duties[i], founders[1-i].ID); err != nil {
				return err
			}
		}
		_, err = d.cfg.Log.AppendTx(ctx, tx, events...)
		return err
	})
	return txError(err)
}

// foundOne enters one founder, confirmed by the other.
func (d *Door) foundOne(ctx context.Context, tx pgx.Tx, row store.Person, duty store.Duty, other string) error {
	if err := d.cfg.Store.InsertPerson(ctx, tx, row); err != nil {
		return err
	}
	if err := d.cfg.Store.InsertDuty(ctx, tx, duty); err != nil {
		return err
	}
	if err := d.cfg.Store.ConfirmDuty(ctx, tx, d.cfg.Institution, duty.ID, other); err != nil {
		return err
	}
	return d.cfg.Store.InsertTraining(ctx, tx, d.cfg.Institution, row.ID, confidentialityCourse, "operator", duty.From, duty.From.Add(founderTraining), 0)
}
