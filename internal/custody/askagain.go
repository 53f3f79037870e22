package custody

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

// A package of many records, or of large files, takes longer than a decision is
// good for: a record may be erased, its handler recused, a grant revoked while
// the one before it streams. What was decided longer ago than a request may last
// is decided again, and its key is asked for again.

// old says that a decision is older than a request may last.
func (p *production) old(a *asked) bool { return p.door.now().Sub(a.at) > deadline }

// askAgain decides on a record anew when its turn comes late. Nothing was opened
// under the intent before.
func (p *production) askAgain(ctx context.Context, k *kept) error {
	if !p.old(k.a) {
		return nil
	}
	d := p.door
	d.outcome(ctx, k.a, []pglog.Receipt{k.receipt}, nil, "cancelled")
	k.told = true
	return p.again(ctx, func(ctx context.Context) error { return p.intendAgain(ctx, k) })
}

// intendAgain decides on a record anew and makes a new intent durable.
func (p *production) intendAgain(ctx context.Context, k *kept) error {
	d := p.door
	a, err := d.askDisclosed(ctx, p, k.id)
	if err != nil {
		return err
	}
	fields, _ := p.fields(a)
	receipt, err := d.record(ctx, a.intent("access.disclosed", fields, p.facts(fields)))
	if err != nil {
		return err
	}
	k.a, k.receipt, k.told = a, receipt, false
	return nil
}

// askAboutFiles decides on a record anew between its files.
func (p *production) askAboutFiles(ctx context.Context, k *kept) error {
	if !p.old(k.a) {
		return nil
	}
	return p.again(ctx, func(ctx context.Context) error {
		a, err := p.verified(ctx, k.id)
		if err == nil {
			k.a = a
		}
		return err
	})
}

// verified decides on a record and verifies it, as an access of its own that
// opens no field.
func (p *production) verified(ctx context.Context, id string) (*asked, error) {
	d := p.door
	a, err := d.askDisclosed(ctx, p, id)
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, a.intent("access.disclosed", nil, p.facts(nil)))
	if err != nil {
		return nil, err
	}
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return nil, err
	}
	defer o.close()
	d.outcome(ctx, a, []pglog.Receipt{receipt}, o, "answered")
	return a, nil
}
