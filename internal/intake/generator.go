package intake

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SourceGenerator is the source code of generated complaints.
const SourceGenerator = "generator"

//go:embed scenarios.json
var scenariosJSON []byte

// script is what generated complaints are put together from.
type script struct {
	Openings   []string   `json:"openings"`
	Identities []string   `json:"identities"`
	Impacts    []string   `json:"impacts"`
	Closings   []string   `json:"closings"`
	Scenarios  []scenario `json:"scenarios"`
}

// scenario is one kind of complaint; Amount is from-to in yuan, zero for none.
type scenario struct {
	Weight   int      `json:"weight"`
	Business string   `json:"business"`
	Product  string   `json:"product"`
	Type     string   `json:"type"`
	Reason   string   `json:"reason"`
	Amount   [2]int64 `json:"amount"`
	Card     bool     `json:"card"`
	Staff    bool     `json:"staff"`
	Whistle  bool     `json:"whistle"`
	Party    string   `json:"party"`
	Texts    []string `json:"texts"`
	Demands  []string `json:"demands"`
}

var stories = sync.OnceValue(func() script {
	var s script
	dec := json.NewDecoder(bytes.NewReader(scenariosJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(fmt.Errorf("parsing scenarios.json: %w", err))
	}
	return s
})

// GeneratorConfig steers Generate. The same values give the same complaints.
type GeneratorConfig struct {
	// Seed chooses persons and stories.
	Seed uint64
	// Count is how many complaints are made.
	Count int
	// End is the latest time of receipt; it MUST be set. Receipts lie in the
	// Days before it (0 means 90), mostly in office hours, roughly ascending.
	End  time.Time
	Days int
}

// Generate makes valid complaints in Chinese with identities. One customer in
// four comes back within the run. Each draft passes Clean and Validate.
func Generate(cfg GeneratorConfig) iter.Seq[Draft] {
	return func(yield func(Draft) bool) {
		g := newGenerator(cfg)
		for i := range cfg.Count {
			if !yield(g.draft(i)) {
				return
			}
		}
	}
}

type generator struct {
	cfg    GeneratorConfig
	who    *Identities
	script script
	total  int
}

func newGenerator(cfg GeneratorConfig) *generator {
	if cfg.Days <= 0 {
		cfg.Days = 90
	}
	g := &generator{cfg: cfg, who: NewIdentities(cfg.Seed), script: stories()}
	for _, s := range g.script.Scenarios {
		g.total += s.Weight
	}
	return g
}

// draft makes complaint i, independent of all others.
func (g *generator) draft(i int) Draft {
	rng := rand.New(rand.NewPCG(g.cfg.Seed, uint64(i)+1)) //nolint:gosec // made-up stories
	s := g.scenario(rng)
	person := g.who.Person(g.customer(rng, i))
	d := Draft{
		Source: SourceGenerator, SourceID: fmt.Sprintf("g-%d-%06d", g.cfg.Seed, i),
		ReceivedAt: g.received(rng, i), Type: s.Type, BusinessCode: s.Business, ProductCode: s.Product,
		ReasonCode: s.Reason, Branch: fmt.Sprintf("b%03d", 1+rng.IntN(40)), Department: DepartmentOf(s.Business),
		PartyType: "self", IDType: "resident_id", Referral: "none", Fields: map[string]string{},
	}
	g.route(rng, &d)
	g.fill(rng, &d, s, person)
	d.Level = level(rng, d)
	return d
}

func (g *generator) scenario(rng *rand.Rand) scenario {
	n := rng.IntN(g.total)
	for _, s := range g.script.Scenarios {
		if n -= s.Weight; n < 0 {
			return s
		}
	}
	return g.script.Scenarios[0]
}

// customer is the number of the person: one in four of a circle of a twelfth
// of all, so that each of those complains about three times.
func (g *generator) customer(rng *rand.Rand, i int) uint64 {
	if circle := g.cfg.Count / 12; rng.IntN(4) == 0 && circle > 0 {
		return uint64(rng.IntN(circle))
	}
	return 1<<32 + uint64(i)
}

// received spreads the receipts evenly; a night's receipt moves to the same
// day's working hours (08:00 to 20:00 in China, 00:00 to 12:00 UTC), four in
// five.
func (g *generator) received(rng *rand.Rand, i int) time.Time {
	span := time.Duration(g.cfg.Days) * 24 * time.Hour
	from := g.cfg.End.Add(-span)
	at := from.Add(span / time.Duration(max(g.cfg.Count, 1)) * time.Duration(i))
	at = at.Add(time.Duration(rng.IntN(60)) * time.Second).Truncate(time.Second)
	at = at.UTC()
	if day := at.Add(-12 * time.Hour); at.Hour() >= 12 && rng.IntN(5) > 0 {
		at = day
	}
	if at.After(g.cfg.End) {
		at = g.cfg.End.UTC().Truncate(time.Second)
	}
	return at
}

// route chooses how the complaint came in.
func (g *generator) route(rng *rand.Rand, d *Draft) {
	routes := []struct {
		weight            int
		channel, evidence string
	}{
		{38, "phone", "call_record"}, {22, "mobile_app", "portal_receipt"}, {12, "branch", "registry"}, {8, "online_bank", "portal_receipt"},
		{6, "web", "portal_receipt"}, {5, "mail", "mail_header"}, {7, "regulator", "registry"}, {2, "third_party", "source_record"},
	}
	n := rng.IntN(100)
	for _, r := range routes {
		if n -= r.weight; n < 0 {
			d.Channel, d.ReceivedEvidence = r.channel, r.evidence
			break
		}
	}
	if d.Channel == "regulator" {
		d.Referral = pick(rng, []string{"nfra", "nfra", "pboc", "hotline"})
		d.RegulatorRef = fmt.Sprintf("%s-%d-%04d", strings.ToUpper(d.Referral), d.ReceivedAt.Year(), rng.IntN(10000))
	}
	if d.ReasonCode == "third_party" {
		d.ThirdParty = pick(rng, []string{"pay-a", "pay-b", "dealer-c", "platform-d"})
	}
	d.GroupFlag = rng.IntN(100) == 0
}

// fill writes the sealed fields.
func (g *generator) fill(rng *rand.Rand, d *Draft, s scenario, p Identity) {
	p.put(d.Fields)
	if rng.IntN(3) == 0 {
		delete(d.Fields, "email")
	}
	if !s.Card && rng.IntN(2) == 0 {
		delete(d.Fields, "bank_card")
	}
	staffID, staffName := g.who.Staff(rng.Uint64())
	if s.Staff {
		d.Fields["respondent_staff_id"], d.Fields["respondent_name"] = staffID, staffName
	}
	amount := ""
	if s.Amount[1] > 0 {
		yuan := s.Amount[0] + int64(float64(s.Amount[1]-s.Amount[0])*rng.Float64()*rng.Float64())
		amount = fmt.Sprintf("%d.%02d", yuan, rng.IntN(100))
		d.Fields["amount_claimed"] = amount
		d.Fields["transactions"] = transactions(rng, d.ReceivedAt, amount)
	}
	g.party(rng, d, s)
	story := strings.NewReplacer("{name}", p.Name, "{id}", p.IDNumber, "{phone}", p.Phone,
		"{phone_spaced}", p.Phone[:3]+" "+p.Phone[3:7]+" "+p.Phone[7:], "{email}", p.Email, "{address}", p.Address,
		"{card}", p.BankCard, "{account}", p.AccountNo, "{amount}", amount, "{staff}", staffID, "{staff_name}", staffName,
		"{branch}", branchName(d.Branch), "{date}", chineseDate(d.ReceivedAt.AddDate(0, 0, -1-rng.IntN(40))))
	c := g.script
	text := pick(rng, c.Openings) + pick(rng, c.Identities) + pick(rng, s.Texts) + pick(rng, c.Impacts) + pick(rng, c.Closings)
	d.Fields["narrative"] = story.Replace(text)
	d.Fields["demand"] = story.Replace(pick(rng, s.Demands))
	if s.Whistle {
		d.Fields["whistle_report"] = story.Replace("员工{staff_name}（工号{staff}）涉嫌飞单，" + s.Texts[0])
	}
}

// party makes one complaint in twenty-five an agent's.
func (g *generator) party(rng *rand.Rand, d *Draft, s scenario) {
	if s.Party != "" {
		d.PartyType = s.Party
	}
	if rng.IntN(25) == 0 && d.PartyType == "self" {
		d.PartyType = "agent"
		d.Fields["representative_name"] = g.who.Person(rng.Uint64()).Name
	}
}

// level is what a source system would have set: most are general, some are not
// classified yet.
func level(rng *rand.Rand, d Draft) string {
	n := rng.IntN(100)
	switch {
	case d.Fields["whistle_report"] != "", d.GroupFlag:
		return "major"
	case n < 15:
		return "unclassified"
	case d.Referral != "none", n < 32:
		return "serious"
	case n < 35:
		return "major"
	}
	return "general"
}

// transactions is a short statement: time, amount, counterparty, reference.
func transactions(rng *rand.Rand, received time.Time, amount string) string {
	var b strings.Builder
	for i := range 1 + rng.IntN(3) {
		at := received.AddDate(0, 0, -1-rng.IntN(40))
		if i > 0 {
			amount = strconv.Itoa(10+rng.IntN(3000)) + ".00"
		}
		fmt.Fprintf(&b, "%s %s 商户%s 流水号%s\n", at.Format(time.DateOnly), amount, digits(rng, 4), digits(rng, 20))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func branchName(code string) string {
	names := []string{"城东支行", "中山路支行", "高新区支行", "红谷滩支行", "总行营业部", "人民路支行", "解放路支行", "滨江支行"}
	n, _ := strconv.Atoi(strings.TrimPrefix(code, "b"))
	return names[n%len(names)]
}

func chineseDate(t time.Time) string {
	return fmt.Sprintf("%d年%d月%d日", t.Year(), int(t.Month()), t.Day())
}
