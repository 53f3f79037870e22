package policy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// groupMeta is the index of group meta in groups.
const groupMeta = 0

// defaultEvalTimeout is how long OPA may take for one role. A cold decision takes a tenth of a millisecond; the second leaves room for a
// stalled machine and stays below the door's own deadline of 2 s.
const defaultEvalTimeout = time.Second

// viewsPath is the package that is evaluated once at activation and then replaced by its value.
const viewsPath = "data.sealtrail.views"

// cell is one answer of the table: immutable, shared by every decision with the same finite attributes.
type cell struct {
	allow, record bool
	groups        [16]Effect
	fields        []Effect // parallel to the catalogue
	reason        string
	reasons       []string // by rank
	obligations   []Obligation
}

// Snapshot is one activated bundle: compiled rules, data, prepared query and cache. It is immutable but for the cache, which only OPA's
// answers fill. A Decision keeps the Snapshot that made it.
type Snapshot struct {
	digest     string
	archive    []byte
	sequence   uint64
	catalogue  Catalogue
	fieldIndex map[string]int
	fieldGroup []int // group index, -1 = never released
	plans      []plan
	steps      map[string]uint8
	reasons    map[string]Reason
	ranks      map[string]int
	meta       map[string]bool // reason code -> independent of any record
	domain     domain

	query    rego.PreparedEvalQuery
	txn      storage.Transaction
	timeout  time.Duration
	terms    inputTerms
	cache    *cellCache
	interned sync.Map // fingerprint -> *cell
}

// newSnapshot compiles and prepares a bundle.
func newSnapshot(ctx context.Context, b *bundle, c Config, sequence uint64) (*Snapshot, error) {
	s := &Snapshot{digest: b.digest, archive: b.archive, sequence: sequence, catalogue: Catalogue{Fields: slices.Clone(c.Catalogue.Fields)}}
	if err := s.load(b, c.archived); err != nil {
		return nil, err
	}
	if err := s.spreadFields(); err != nil {
		return nil, err
	}
	data, modules, err := materialise(ctx, b)
	if err != nil {
		return nil, err
	}
	compiler, err := compile(modules)
	if err != nil {
		return nil, err
	}
	store := inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true), inmem.OptRoundTripOnWrite(false))
	// One read transaction for the snapshot's life: nothing ever writes to this store.
	if s.txn, err = store.NewTransaction(ctx); err != nil {
		return nil, fmt.Errorf("opening policy data: %w", err)
	}
	s.query, err = rego.New(
		rego.Compiler(compiler), rego.Store(store), rego.Transaction(s.txn), rego.StrictBuiltinErrors(true),
		rego.Query("data.sealtrail.access.decision"),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t.Value, nil }),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("preparing query: %w", err)
	}
	s.terms = newInputTerms()
	size := c.CacheSize
	if size == 0 {
		size = defaultCacheSize
	}
	s.cache = newCellCache(size)
	if s.timeout = c.EvalTimeout; s.timeout == 0 {
		s.timeout = defaultEvalTimeout
	}
	return s, nil
}

// load reads the typed documents of the bundle.
func (s *Snapshot) load(b *bundle, archived bool) error {
	if err := b.decode("domain", &s.domain); err != nil {
		return err
	}
	if err := s.domain.check(archived); err != nil {
		return err
	}
	for _, a := range actions {
		s.plans = append(s.plans, s.domain.plan(s.domain.Actions[a]))
	}
	var st struct {
		Of map[string]string `json:"of"`
	}
	if err := b.decode("steps", &st); err != nil {
		return err
	}
	s.steps = map[string]uint8{}
	for name, class := range st.Of {
		i := index(steps, class)
		if i < 0 {
			return fmt.Errorf("steps.of.%s: unknown class %q", name, class)
		}
		s.steps[name] = uint8(i + 1)
	}
	return s.loadReasons(b)
}

func (s *Snapshot) loadReasons(b *bundle) error {
	var codes map[string]struct {
		Reason
		Rank        int  `json:"rank"`
		Independent bool `json:"independent"`
	}
	var next map[string]struct {
		Chinese string `json:"zh"`
		English string `json:"en"`
	}
	if err := b.decode("reasons", &codes); err != nil {
		return err
	}
	if err := b.decode("next", &next); err != nil {
		return err
	}
	s.reasons, s.ranks, s.meta = map[string]Reason{}, map[string]int{}, map[string]bool{}
	for code, row := range codes {
		n, ok := next[row.Next]
		if !ok {
			return fmt.Errorf("reasons.%s: unknown next step %q", code, row.Next)
		}
		row.Reason.Code, row.NextChinese, row.NextEnglish = code, n.Chinese, n.English
		s.reasons[code], s.ranks[code], s.meta[code] = row.Reason, row.Rank, row.Independent
	}
	for _, code := range []string{reasonNotFound, reasonNotEvaluated, reasonUnfit, reasonField, reasonReleased, reasonPurposeRequired, reasonPurposeUnknown, reasonC3, reasonNoRole} {
		if _, ok := s.reasons[code]; !ok {
			return fmt.Errorf("reasons.%s is missing", code)
		}
	}
	return nil
}

// spreadFields prepares the way from groups to fields. A field of class C3, or of a group that the policy does not know, is never released.
func (s *Snapshot) spreadFields() error {
	if len(s.catalogue.Fields) == 0 {
		return fmt.Errorf("catalogue is empty")
	}
	s.fieldIndex = make(map[string]int, len(s.catalogue.Fields))
	for i, f := range s.catalogue.Fields {
		if _, twice := s.fieldIndex[f.Name]; twice || f.Name == "" {
			return fmt.Errorf("catalogue: field %q is there twice or has no name", f.Name)
		}
		s.fieldIndex[f.Name] = i
		g := index(groups, f.Group)
		if f.Class == "C3" {
			g = -1
		}
		s.fieldGroup = append(s.fieldGroup, g)
	}
	return nil
}

// capabilities are OPA's builtins without those that look at the world: a decision depends on its input and the bundle alone.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = []string{}
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.IsNondeterministic() || b.Name == "opa.runtime" || b.Name == "http.send" || b.Name == "uuid.parse"
	})
	return c
}

func compile(modules map[string]*ast.Module) (*ast.Compiler, error) {
	c := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true)
	copies := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		copies[name] = m.Copy()
	}
	if c.Compile(copies); c.Failed() {
		return nil, fmt.Errorf("compiling: %w", c.Errors)
	}
	return c, nil
}

// materialise evaluates the views once and gives back the data with the views in it and the modules without them.
func materialise(ctx context.Context, b *bundle) (map[string]any, map[string]*ast.Module, error) {
	compiler, err := compile(b.modules)
	if err != nil {
		return nil, nil, err
	}
	rs, err := rego.New(rego.Compiler(compiler), rego.Store(inmem.NewFromObject(b.data)), rego.StrictBuiltinErrors(true), rego.Query(viewsPath)).Eval(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("laying out views: %w", err)
	}
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return nil, nil, fmt.Errorf("laying out views: undefined")
	}
	data := make(map[string]any, len(b.data)+1)
	for k, v := range b.data {
		data[k] = v
	}
	data["sealtrail"] = map[string]any{"views": rs[0].Expressions[0].Value}
	modules := make(map[string]*ast.Module, len(b.modules))
	for name, m := range b.modules {
		if m.Package.Path.String() != viewsPath {
			modules[name] = m
		}
	}
	return data, modules, nil
}

// evaluate asks OPA about one point of the domain, once per role held, and joins the answers. Nobody's roles at all: refused.
func (s *Snapshot) evaluate(ctx context.Context, a attributes) (*cell, error) {
	var c *cell
	for role := range roles {
		if a.roles&(1<<role) == 0 {
			continue
		}
		one, err := s.evaluateRole(ctx, a, role)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEvaluation, err)
		}
		c = s.join(c, one)
	}
	if c == nil {
		// No rule spoke, so R26 speaks here: a refusal is recorded like any other decision.
		c = &cell{
			reason: reasonNoRole, reasons: []string{reasonNoRole}, fields: make([]Effect, len(s.fieldGroup)),
			obligations: []Obligation{{Do: "record_before_release", Article: "6.1.26"}},
		}
	}
	c.record = s.plans[a.action].record
	return s.intern(c), nil
}

// evaluateRole asks OPA about one role. The answer is checked against the closed lists; anything unexpected is an error.
func (s *Snapshot) evaluateRole(ctx context.Context, a attributes, role int) (*cell, error) {
	started, cancel := time.Now(), topdown.NewCancel()
	timer := time.AfterFunc(s.timeout, cancel.Cancel)
	defer timer.Stop()
	// The caller's deadline would cost a goroutine per evaluation and could leave half an answer; the timer bounds it instead.
	rs, err := s.query.Eval(context.WithoutCancel(ctx),
		rego.EvalParsedInput(s.terms.input(a, role)), rego.EvalTransaction(s.txn), rego.EvalExternalCancel(cancel))
	if err != nil {
		return nil, err
	}
	if late := time.Since(started); late > s.timeout {
		return nil, fmt.Errorf("answered after %v, at most %v", late, s.timeout)
	}
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return nil, fmt.Errorf("undefined")
	}
	obj, ok := rs[0].Expressions[0].Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("no object")
	}
	return s.decode(obj)
}

// intern shares equal cells: the domain has some 200,000 points and a few hundred different answers.
func (s *Snapshot) intern(c *cell) *cell {
	shared, _ := s.interned.LoadOrStore(c.fingerprint(), c)
	return shared.(*cell)
}

// fingerprint tells cells apart by all that they hold.
func (c *cell) fingerprint() string {
	b := make([]byte, 0, 256)
	b = strconv.AppendBool(b, c.allow)
	b = strconv.AppendBool(b, c.record)
	for _, e := range c.groups {
		b = append(b, '0'+byte(e))
	}
	for _, e := range c.fields {
		b = append(b, '0'+byte(e))
	}
	b = append(b, c.reason...)
	for _, r := range c.reasons {
		b = append(append(b, ' '), r...)
	}
	for _, o := range c.obligations {
		b = append(append(append(append(b, '|'), o.Do...), ' '), o.Article...)
	}
	return string(b)
}

func groupIndex(name string) (int, bool) {
	i := index(groups, name)
	return max(i, 0), i >= 0
}
