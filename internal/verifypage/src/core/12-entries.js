// Steps 5 to 7: the entries, the trail, and that there are no others.

const HEADS_REACH = 262144; // entries between the size that a trail.heads entry speaks of and the entry, by the format

const where = (i) => ({ log: i.log, index: i.index });

async function checkEntries(b, report) {
  for (const i of b.items) {
    if (i.state === "missing") report.find(ENTRIES, "entry_missing", { ...where(i), want: i.leaf });
    await checkInclusion(b, i, report);
    if (i.state === "disclosed") await readEntry(b, i, report);
  }
  const ids = new Set(b.items.filter((i) => i.entry && (i.part === "trail" || i.part === "hit")).map((i) => "e" + i.entry.id));
  for (const i of b.items) if (i.entry && !fitsPart(b, i, ids)) report.find(ENTRIES, "part", { ...where(i), path: entryPath(i), want: i.part });
  let last = ""; // from one year's log to the next too: what year a log is of nothing else shows
  b.logs.forEach((log) => {
    for (const i of b.items.filter((x) => x.log === log.number && x.entry)) {
      if (i.entry.seqAt < last) report.find(ENTRIES, "time_order", { ...where(i), path: entryPath(i), want: last, got: i.entry.seqAt });
      last = i.entry.seqAt;
    }
  });
  if (b.items.length > 0) report.pass(ENTRIES);
  else report.note(ENTRIES, "there is no entry", "没有记录");
}

async function checkInclusion(b, i, report) {
  const log = b.logs[i.log];
  const proof = parseProof(b.files.get(proofPath(i)));
  if (!proof || proof.index !== BigInt(i.index) || !equal(proof.checkpoint, log.bytes)) {
    report.find(ENTRIES, "proof_malformed", { ...where(i), path: proofPath(i) });
    return;
  }
  const root = await rootFromInclusion(proof.index, log.checkpoint.size, i.leafHash, proof.path);
  if (!root || !equal(root, log.checkpoint.root)) report.find(ENTRIES, "inclusion", { ...where(i), path: proofPath(i), want: toHex(log.checkpoint.root), got: root ? toHex(root) : "" });
}

async function readEntry(b, i, report) {
  const bytes = b.files.get(entryPath(i));
  const at = { ...where(i), path: entryPath(i) };
  const hash = toHex(await leafHash(bytes));
  let entry;
  try {
    entry = parseLeaf(bytes);
  } catch (e) {
    if (!(e instanceof NotCanonical)) throw e;
    report.find(ENTRIES, "not_canonical", { ...at, want: i.leaf, got: hash });
    return;
  }
  if (hash !== i.leaf) {
    report.find(ENTRIES, "entry_altered", { ...at, want: i.leaf, got: hash });
    return;
  }
  i.entry = entry;
  if (entry.index !== BigInt(i.index)) report.find(ENTRIES, "index", { ...at, want: String(i.index), got: String(entry.index) });
  if (entry.log !== b.logs[i.log].origin) report.find(ENTRIES, "origin", { ...at, want: b.logs[i.log].origin, got: entry.log });
  if (of(entry, "institution") !== b.ev.get("institution")) report.find(ENTRIES, "institution", { ...at, want: b.ev.get("institution"), got: of(entry, "institution") });
}

// fitsPart compares an entry with what it is listed as.
function fitsPart(b, i, ids) {
  const e = i.entry;
  switch (i.part) {
    case "trail":
      return of(e, "subject") === b.ev.get("subject");
    case "policy":
      return of(e, "subject") === "charter:bundle";
    case "heads":
      return of(e, "subject") === "charter:heads" && of(e, "kind") === "trail.heads" && of(e, "stage") === "event";
    case "outcome": {
      const intents = factsOf(e).get("intents");
      return of(e, "stage") === "outcome" && Array.isArray(intents) && intents.some((x) => ids.has(x));
    }
  }
  return true;
}

function checkTrail(b, report) {
  if (b.ev.get("scope") === "query") {
    const q = Object.fromEntries(b.ev.get("query"));
    for (const i of b.items) if (i.part === "hit" && i.log === q.log && i.index >= q.size) report.find(TRAIL, "hit_beyond", { ...where(i), want: String(q.size) });
    report.note(TRAIL, "not checked: these are the hits of a query, not a trail", "未检查:这是检索结果,不是处理轨迹");
    return;
  }
  const trail = b.items.filter((i) => i.part === "trail");
  const loose = chain(trail, (i, code, want, got) => report.find(TRAIL, code, { ...where(i), want, got }));
  const withheld = trail.filter((i) => i.state === "withheld").length;
  if (withheld) report.note(TRAIL, withheld + " of " + trail.length + " entries are withheld: their place in the tree is proved, their number in the trail is not shown", trail.length + " 条中有 " + withheld + " 条未提供内容:其在树中的位置已证明,在轨迹中的序号未显示");
  if (loose) report.note(TRAIL, loose + " withheld entries are tied to the trail by their number only", loose + " 条未提供的记录仅以序号相连");
  report.compared(TRAIL, trail.length + " entries, numbers 1 to " + trail.length, "共 " + trail.length + " 条,序号 1 至 " + trail.length, "");
  report.pass(TRAIL);
}

// chain checks number and former leaf of a trail's items and returns how many withheld ones no next entry names.
function chain(trail, find) {
  let loose = 0;
  trail.forEach((i, k) => {
    const before = k > 0 ? trail[k - 1].leaf : "0".repeat(64);
    if (!i.entry) {
      if (!(trail[k + 1] && trail[k + 1].entry)) loose++;
      return;
    }
    if (i.entry.n !== BigInt(k + 1)) find(i, "trail_gap", String(k + 1), String(i.entry.n));
    else if (i.entry.prev !== before) find(i, "trail_broken", before, i.entry.prev);
  });
  return loose;
}

// checkHead judges one head and returns {code, want, got} of what is wrong, or {commitment} of the entry that commits to it.
async function checkHead(b, head, trail) {
  const item = b.at.get(place(head.log, head.index));
  if (!item || !item.entry || item.part !== "heads") return { code: "heads_entry" };
  const [origin, size, trails, root] = KEY(factsOf(item.entry), "origin", "size", "trails", "root");
  const log = b.logs.find((l) => l.origin === origin);
  if (!log || !isIndex(size) || !isIndex(trails) || !isHash(root) || BigInt(size) > log.checkpoint.size) return { code: "heads_entry" };
  const own = log.number === item.log;
  if (own ? item.index < size || item.index > size + HEADS_REACH : log.number > item.log) return { code: "heads_entry" };
  const key = await headKey(head.subject);
  const path = head.path.map(fromHex);
  let start = EMPTY_HEAD;
  if (head.n > 0) start = await headLeaf(key, head.n, fromHex(head.last));
  if (head.other) {
    const [k, n, last] = KEY(head.other, "key", "n", "last");
    if (k === toHex(key) || !samePath(fromHex(k), key, path.length)) return { code: "heads_proof" };
    start = await headLeaf(fromHex(k), n, fromHex(last));
  }
  const got = toHex(await rootOfHeads(key, start, path));
  if (got !== root) return { code: "heads_proof", want: root, got };
  if (head.n !== trail.length) return { code: "heads_n", want: String(head.n), got: String(trail.length) };
  const last = trail[trail.length - 1];
  if (last && last.leaf !== head.last) return { code: "heads_last", want: head.last, got: last.leaf };
  if (last && (last.log > log.number || (last.log === log.number && last.index >= size))) return { code: "heads_size", want: String(size), got: String(last.index) };
  return { commitment: { size, origin, root, seqAt: item.entry.seqAt } };
}

async function checkComplete(b, given, report) {
  if (b.ev.get("scope") === "query") {
    report.note(COMPLETE, "not checked: whether the query has other hits, only the whole log shows", "未检查:检索是否另有命中,须以完整日志核对");
    return;
  }
  const subject = b.ev.get("subject");
  const head = b.list("heads").find((h) => h.subject === subject);
  if (!head) return report.find(COMPLETE, "heads_missing");
  const trail = b.items.filter((i) => i.part === "trail");
  const { code, want, got, commitment } = await checkHead(b, head, trail);
  if (code) return report.find(COMPLETE, code, { ...where(head), want, got });
  report.compared(COMPLETE, "root of all trails' ends", "全部轨迹终点的根哈希", commitment.root);
  report.compared(COMPLETE, "last entry of the trail", "轨迹末条", head.last || "–");
  const of = b.logs.findIndex((l) => l.origin === commitment.origin);
  const behind = b.logs.slice(of).reduce((n, l) => n + l.size, -commitment.size);
  b.complete = { ...commitment, behind, n: head.n, openers: openersOf(b, given), withheld: trail.filter((i) => i.state !== "disclosed").length };
  report.pass(COMPLETE);
}

// openersOf lists the entries by which somebody opened the record.
function openersOf(b, given) {
  return b.items.filter((i) => i.part === "trail" && i.entry && given.opens.includes(of(i.entry, "kind")) && of(i.entry, "stage") !== "outcome" && decisionOf(i.entry).get("result") !== "deny");
}
