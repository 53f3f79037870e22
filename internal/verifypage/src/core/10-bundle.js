// Bundle: evidence.json with its schema, order and references, and the files that belong to it: step 1.

const KEY = (map, ...names) => names.map((n) => map.get(n));
const isIndex = (v) => typeof v === "number" && v >= 0;
const isSize = (v) => typeof v === "number" && v >= 1;
const isReason = (v) => typeof v === "string" && /^[a-z0-9_]+$/.test(v);
const isHash = isHexOf(64);
const listOf = (shape) => (v) => Array.isArray(v) && v.length > 0 && v.every((x) => fits(x, shape));
const isHashes = (v) => Array.isArray(v) && v.every(isHash);
const oneOf = (...words) => (v) => words.includes(v);
const isRef = (v) => fits(v, { "index!": isIndex, "log!": isIndex });
const byteLength = (text) => utf8(text).length;

const EVIDENCE = {
  "format!": (v) => v === "sealtrail-evidence/v1",
  "institution!": isToken,
  "made_at!": isTime,
  "scope!": oneOf("trail", "query"),
  subject: (v) => isToken(v) && !/^(request|query):/.test(v),
  query: (v) => fits(v, { "log!": isIndex, "size!": isSize, "text!": (t) => typeof t === "string" }),
  "logs!": (v) => listOf({ "key!": (k) => typeof k === "string", "origin!": (o) => isToken(o) && o.length <= 255, "size!": isSize, "year!": isIndex })(v) && v.length <= 64,
  items: listOf({
    "index!": isIndex, "leaf!": isHash, "log!": isIndex, "part!": oneOf("trail", "outcome", "policy", "heads", "support", "hit"),
    reason: isReason, "state!": oneOf("disclosed", "withheld", "missing"),
  }),
  heads: listOf({
    "index!": isIndex, "last!": (v) => v === "" || isHash(v), "log!": isIndex, "n!": isIndex,
    other: (v) => fits(v, { "key!": isHash, "last!": isHash, "n!": isSize }), "path!": (v) => isHashes(v) && v.length <= 256, "subject!": isToken,
  }),
  openings: listOf({
    "index!": isIndex, "log!": isIndex, "path!": (v) => typeof v === "string" && NAME_BYTES.test(v), proof: isRef, reason: isReason, salt: isHexOf(32),
    "state!": oneOf("disclosed", "withheld", "erased", "missing"), value: (v) => typeof v === "string",
  }),
  consistency: listOf({ "from!": isSize, "log!": isIndex, "path!": isHashes }),
  stamps: listOf({ "log!": isIndex, "size!": isSize }),
  actors: listOf({ "alias!": isToken, "name!": (v) => isText(v) && byteLength(v) <= 256 }),
};

// OPENING_HAS says which members go with which state of an opening.
const OPENING_HAS = { disclosed: ["salt", "value"], withheld: ["reason"], erased: ["proof"], missing: [] };

function shaped(ev) {
  if (!fits(ev, EVIDENCE)) return false;
  const trail = ev.get("scope") === "trail";
  if (ev.has("subject") !== trail || ev.has("query") === trail) return false;
  for (const item of ev.get("items") || []) {
    const [state, part] = KEY(item, "state", "part");
    if (item.has("reason") !== (state === "withheld") || part === (trail ? "hit" : "trail")) return false;
    if (["policy", "heads", "support"].includes(part) && state !== "disclosed") return false;
  }
  for (const h of ev.get("heads") || []) {
    if ((h.get("n") === 0) !== (h.get("last") === "") || (h.has("other") && h.get("n") !== 0)) return false;
  }
  for (const o of ev.get("openings") || []) {
    const has = OPENING_HAS[o.get("state")];
    if (["proof", "reason", "salt", "value"].some((m) => o.has(m) !== has.includes(m))) return false;
  }
  return true;
}

const LIST_ORDER = {
  logs: ["year"], items: ["log", "index"], heads: ["log", "index", "subject"], openings: ["log", "index", "path"],
  consistency: ["log", "from"], stamps: ["log", "size"], actors: ["alias"],
};

// ascending compares by the members named; all strings compared here are ASCII, so that order by UTF-16 is order by bytes.
function ascending(a, b, members) {
  for (const m of members) {
    if (a.get(m) < b.get(m)) return true;
    if (a.get(m) > b.get(m)) return false;
  }
  return false;
}

function ordered(ev) {
  for (const [list, members] of Object.entries(LIST_ORDER)) {
    const all = ev.get(list) || [];
    for (let i = 1; i < all.length; i++) if (!ascending(all[i - 1], all[i], members)) return false;
  }
  const once = (list, name) => new Set(list.map((x) => x.get(name))).size === list.length;
  return once(ev.get("logs"), "origin") && once(ev.get("heads") || [], "subject");
}

const place = (log, index) => log + "/" + index;

// referenced reports whether every log, index and size that is named is there.
function referenced(ev) {
  const logs = ev.get("logs");
  const size = (log) => (log < logs.length ? logs[log].get("size") : 0);
  const items = new Set((ev.get("items") || []).map((i) => place(...KEY(i, "log", "index"))));
  const within = (x, name, limit) => x.get(name) < size(x.get("log")) + limit;
  const named = (x) => items.has(place(...KEY(x, "log", "index")));
  return (
    (ev.get("items") || []).every((x) => within(x, "index", 0)) &&
    (ev.get("heads") || []).every((x) => within(x, "index", 0)) &&
    (ev.get("openings") || []).every((x) => named(x) && (!x.has("proof") || named(x.get("proof")))) &&
    (ev.get("consistency") || []).every((x) => within(x, "from", 0)) &&
    (ev.get("stamps") || []).every((x) => within(x, "size", 1)) &&
    (!ev.has("query") || within(ev.get("query"), "size", 1))
  );
}

const entryPath = (i) => "log/" + i.log + "/entries/" + i.index + ".json";
const proofPath = (i) => "log/" + i.log + "/proofs/" + i.index + ".tlog-proof";

// filesOf returns the names that evidence.json calls for; blobs are judged in step 10.
function filesOf(ev, items) {
  const out = ["README.txt", "evidence.json", "verify.html"];
  ev.get("logs").forEach((_, n) => out.push("log/" + n + "/checkpoint"));
  for (const i of items) {
    if (i.state === "disclosed") out.push(entryPath(i));
    out.push(proofPath(i));
  }
  for (const s of ev.get("stamps") || []) out.push("stamp/" + s.get("log") + "/" + s.get("size") + ".tsr");
  return out;
}

// openBundle reads a bundle as far as its form goes, or throws Refusal.
function openBundle(zip) {
  const files = readZip(zip);
  const json = files.get("evidence.json");
  if (!json) throw new Refusal("file_missing", "evidence.json");
  let ev;
  try {
    ev = scanObject(json);
  } catch (e) {
    throw new Refusal("json_not_canonical", "evidence.json");
  }
  if (!shaped(ev)) throw new Refusal("json_malformed", "evidence.json");
  if (!ordered(ev)) throw new Refusal("json_order", "evidence.json");
  if (!referenced(ev)) throw new Refusal("json_reference", "evidence.json");
  const items = (ev.get("items") || []).map((m) => ({ ...Object.fromEntries(m), leafHash: fromHex(m.get("leaf")) }));
  const called = new Set(filesOf(ev, items));
  for (const name of called) if (!files.has(name)) throw new Refusal("file_missing", name);
  for (const name of files.keys()) if (!called.has(name) && !name.startsWith("blob/")) throw new Refusal("file_unnamed", name);
  const logs = ev.get("logs").map((m, n) => openLog(Object.fromEntries(m), n, files));
  return { ev, files, items, logs, at: new Map(items.map((i) => [place(i.log, i.index), i])), list: (name) => (ev.get(name) || []).map((m) => Object.fromEntries(m)) };
}

function openLog(log, n, files) {
  const path = "log/" + n + "/checkpoint";
  const bytes = files.get(path);
  const note = splitNote(bytes);
  const checkpoint = note && parseCheckpoint(note.text);
  if (!checkpoint) throw new Refusal("checkpoint_malformed", path);
  if (checkpoint.origin !== log.origin || checkpoint.size !== BigInt(log.size)) throw new Refusal("checkpoint_differs", path);
  return { ...log, number: n, path, bytes, note, checkpoint };
}
