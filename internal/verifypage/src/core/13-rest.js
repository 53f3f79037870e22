// Steps 8 to 12: values behind commitments, the policy in force, blobs, stamps, and what none of this shows.

const isContent = (i) => ["trail", "hit", "outcome"].includes(i.part) && i.entry;
const before = (a, b) => a.log < b.log || (a.log === b.log && a.index < b.index);
const STATE_PATH = "manifest"; // a plain digest of the record's state, not a salted commitment

async function checkOpenings(b, report) {
  const openings = b.list("openings");
  const known = new Map(openings.map((o) => [place(o.log, o.index) + " " + o.path, o]));
  for (const o of openings) await checkOpening(b, o, report);
  for (const i of b.items.filter(isContent)) {
    for (const path of (of(i.entry, "commit") || new Map()).keys()) {
      if (path !== STATE_PATH && !known.has(place(i.log, i.index) + " " + path)) report.find(OPENINGS, "commitment_unlisted", { ...where(i), path });
    }
  }
  const count = (state) => openings.filter((o) => o.state === state).length;
  report.note(
    OPENINGS,
    "disclosed " + count("disclosed") + ", withheld " + count("withheld") + ", erased " + count("erased") + ", missing " + count("missing"),
    "已开启 " + count("disclosed") + ",未提供 " + count("withheld") + ",已删除 " + count("erased") + ",缺失 " + count("missing")
  );
  report.pass(OPENINGS);
}

async function checkOpening(b, o, report) {
  const item = b.at.get(place(o.log, o.index));
  const committed = item.entry && (of(item.entry, "commit") || new Map()).get(o.path);
  const at = { ...where(o), path: o.path };
  if (!committed || o.path === STATE_PATH) report.find(OPENINGS, "opening_unknown", at);
  else if (o.state === "missing") report.find(OPENINGS, "commitment_missing", { ...at, want: committed });
  else if (o.state === "erased") {
    if (!erasedBy(b, item, b.at.get(place(...KEY(o.proof, "log", "index"))))) report.find(OPENINGS, "erased_unproved", at);
  } else if (o.state === "disclosed") {
    const got = await commitmentOf(o.path, fromHex(o.salt), utf8(o.value));
    if (got === committed) report.compared(OPENINGS, "entry " + o.index + ", " + o.path, "第 " + o.index + " 条," + o.path, got);
    else report.find(OPENINGS, "commitment", { ...at, want: committed, got });
  }
}

async function commitmentOf(path, salt, value) {
  const name = utf8(path);
  return toHex(await sha256(concat(utf8("sealtrail/commit/v1\0"), salt, bigEndian(BigInt(name.length), 4), name, value)));
}

// erasedBy reports whether an item is the shredding, approved by another, that explains a hole in the item before it (rule 11).
function erasedBy(b, item, shredded) {
  const is = (i, kind) => i && i.entry && of(i.entry, "kind") === kind && of(i.entry, "stage") === "event";
  if (!is(shredded, "erasure.shredded") || of(shredded.entry, "subject") !== of(item.entry, "subject") || !before(item, shredded)) return false;
  const [by, approver, erasure] = KEY(factsOf(shredded.entry), "requested_by", "approved_by", "erasure");
  if (![by, approver, erasure].every(isText) || by === approver) return false;
  const same = (i) => factsOf(i.entry).get("erasure") === erasure;
  return b.items.some(
    (approved) =>
      is(approved, "erasure.approved") && same(approved) && before(approved, shredded) &&
      b.items.some(
        (asked) =>
          is(asked, "erasure.requested") && same(asked) && before(asked, approved) &&
          (asked.log !== approved.log || actorOf(asked.entry).get("id") !== actorOf(approved.entry).get("id"))
      )
  );
}

async function checkPolicy(b, report) {
  const decided = b.items.filter((i) => isContent(i) && decisionOf(i.entry).has("bundle"));
  const trail = b.items.filter((i) => i.entry && of(i.entry, "subject") === "charter:bundle");
  if (decided.length === 0 || trail.length === 0) return report.note(POLICY, "not checked: no decision, or no activation of a policy bundle here", "未检查:没有决定,或没有策略包生效记录");
  const active = trail.filter((i) => of(i.entry, "kind") === "bundle.activated" && of(i.entry, "stage") === "event");
  for (const i of decided) {
    const newest = active.filter((a) => before(a, i)).pop();
    const [want, got] = [newest ? factsOf(newest.entry).get("digest") : "", decisionOf(i.entry).get("bundle")];
    if (want !== got) report.find(POLICY, "policy_not_active", { ...where(i), want, got });
    else report.compared(POLICY, "entry " + i.index + ": active since entry " + newest.index, "第 " + i.index + " 条:自第 " + newest.index + " 条起生效", got);
  }
  chain(trail, (i, _, want, got) => report.find(POLICY, "policy_trail", { ...where(i), want, got }));
  const head = b.list("heads").find((h) => h.subject === "charter:bundle");
  if (!head) return report.note(POLICY, "not checked: nothing shows that these are all activations", "未检查:没有证明生效记录已全部列出");
  const { code, want, got, commitment } = await checkHead(b, head, trail);
  if (code) return report.find(POLICY, "policy_heads", { ...where(head), want, got });
  const log = b.logs.findIndex((l) => l.origin === commitment.origin);
  const behind = decided.filter((i) => i.log > log || (i.log === log && i.index >= commitment.size)).length;
  if (behind) report.note(POLICY, "for " + behind + " entries behind size " + commitment.size + " another activation in between is not excluded", "规模 " + commitment.size + " 之后的 " + behind + " 条,不排除其间另有策略包生效");
  report.pass(POLICY);
}

async function checkBlobs(b, report) {
  const needed = new Map();
  const allowed = new Set();
  for (const i of b.items.filter((x) => x.entry)) {
    const bundle = decisionOf(i.entry).get("bundle");
    const digest = factsOf(i.entry).get("digest");
    if (bundle) allowed.add(bundle);
    if (isHash(digest)) allowed.add(digest);
    if (bundle && isContent(i) && !needed.has(bundle)) needed.set(bundle, i);
  }
  const there = new Set();
  for (const [path, bytes] of b.files) {
    if (!path.startsWith("blob/")) continue;
    const name = path.slice("blob/sha256/".length);
    const got = toHex(await sha256(bytes));
    there.add(name);
    if (got !== name) report.find(BLOBS, "blob_altered", { path, want: name, got });
    else if (allowed.has(name)) report.compared(BLOBS, path, path, got);
    if (!allowed.has(name)) report.find(BLOBS, "blob_unnamed", { path });
  }
  for (const [name, i] of needed) if (!there.has(name)) report.find(BLOBS, "blob_missing", { ...where(i), path: "blob/sha256/" + name });
  if (there.size + needed.size > 0) report.pass(BLOBS);
  else report.note(BLOBS, "not checked: no file is named", "未检查:没有记录引用文件");
}

async function checkStamps(b, report) {
  const stamps = b.list("stamps");
  if (stamps.length === 0) report.note(STAMPS, "not checked: there is no time stamp", "未检查:没有时间戳");
  for (const s of stamps) {
    const path = "stamp/" + s.log + "/" + s.size + ".tsr";
    const log = b.logs[s.log];
    const token = toHex(await sha256(b.files.get(path)));
    const entry = b.items.find((i) => i.entry && of(i.entry, "kind") === "time.stamped" && KEY(factsOf(i.entry), "origin", "size", "token_sha256").join(" ") === [log.origin, s.size, token].join(" "));
    if (!entry) {
      report.find(STAMPS, "stamp_unlogged", { path, got: token });
      continue;
    }
    const root = fromHex(String(factsOf(entry.entry).get("root")));
    const size = BigInt(s.size);
    const proof = size === log.checkpoint.size ? [] : proofFrom(b, log, size);
    if (!root || root.length !== 32 || !proof || !(await consistent(size, log.checkpoint.size, root, log.checkpoint.root, proof))) report.find(STAMPS, "stamp_root", { path, ...where(entry), want: toHex(log.checkpoint.root), got: root ? toHex(root) : "" });
    else report.compared(STAMPS, path + ", time " + factsOf(entry.entry).get("time"), path + ",时间 " + factsOf(entry.entry).get("time"), token);
  }
  if (stamps.length > 0) report.note(STAMPS, "not checked here: the authority's own signature on the token (openssl ts -verify)", "此处未检查:时间戳机构对令牌的签名(openssl ts -verify)");
}

// LIMITS_TEXT is said under every verdict.
const LIMITS_TEXT = [
  ["whether what the entries claim is true, and whether every act made an entry: only acts through this service do", "记录所述是否属实,以及是否每个行为都有记录:只有经本系统的行为才有记录"],
  ["whether everybody is shown the same log: witnesses and checkpoints kept elsewhere are for that", "是否所有人看到同一份日志:须靠见证方及另行保存的检查点"],
  ["whether the ends of all trails were committed truthfully: whoever holds the whole log recomputes them with trailcheck", "轨迹汇总是否如实:持有完整日志者可用 trailcheck 重算"],
  ["who stands behind an alias: names are the service's word", "别名背后是谁:姓名仅为系统所称"],
  ["time: only a witness's time and a time-stamping authority's are not the service's own", "时间:除见证方与时间戳机构外,均为系统自身时钟"],
  ["what withheld entries and values contain, and what came after the checkpoint", "未提供的记录与内容,以及检查点之后发生的事"],
  ["whether this page is the genuine one: compare its SHA-256 with the README of the release", "本页面是否为正版:请将其 SHA-256 与发布说明(README)核对"],
];

function sayLimits(b, report) {
  for (const [en, zh] of LIMITS_TEXT) report.note(LIMITS, en, zh);
  if (b && b.items.some((i) => i.entry && of(i.entry, "sim"))) report.note(LIMITS, "the log says of itself that it is simulated", "日志自述为模拟数据");
}
