// Leaf: one entry of a log, with the schema of docs/formats/trail-entry.md, rules 7 to 12. The facts of its kind are not the
// page's business: trailcheck knows their schema.

const TOKEN = /^[!#-[\]-~]+$/;
const KIND = /^[a-z0-9_.]+$/;
const NAME = /^[a-z0-9_]+$/;
const isToken = (v) => typeof v === "string" && TOKEN.test(v);
const isText = (v) => typeof v === "string" && v.length > 0;
const isHexOf = (n) => (v) => typeof v === "string" && v.length === n && HEX.test(v);
const isTokens = (v) => Array.isArray(v) && v.length > 0 && v.every(isToken);
const isPositive = (v) => typeof v === "string" && toCount(v) > 0n;
const isStringOrAbsent = (v) => v === undefined || typeof v === "string";

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isTime(v) {
  const m = typeof v === "string" && /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.\d{6}Z$/.exec(v);
  if (!m) return false;
  const [year, month, day, hour, minute, second] = m.slice(1).map(Number);
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= MONTH_DAYS[month - 1] + leap && hour < 24 && minute < 60 && second < 60;
}

const isFact = (v) => typeof v === "string" || typeof v === "number" || typeof v === "boolean" || (Array.isArray(v) && v.every((x) => typeof x === "string"));
const isFacts = (v) => v instanceof Map && v.size > 0 && [...v].every(([name, fact]) => NAME.test(name) && isFact(fact));
const isCommits = (v) => v instanceof Map && v.size > 0 && [...v.values()].every(isHexOf(64));

// members checks an object against {name: test}; names that end in "!" are required. Other names are refused.
function fits(map, shape) {
  if (!(map instanceof Map)) return false;
  const known = new Map(Object.entries(shape).map(([k, test]) => [k.replace("!", ""), test]));
  for (const [name, value] of map) if (!known.has(name) || !known.get(name)(value)) return false;
  return Object.keys(shape).every((k) => !k.endsWith("!") || map.has(k.slice(0, -1)));
}

const isActor = (v) => fits(v, { auth: isToken, "id!": isToken, on_behalf: isToken, roles: isTokens });
const isDecision = (v) =>
  fits(v, {
    article: isText, bundle: isHexOf(64), id: isToken, input_commitment: isToken, reason: isToken,
    "result!": (r) => r === "allow" || r === "deny", rule: isToken,
  });

function isKey(v) {
  const shape = {
    batch: isToken, item: (n) => typeof n === "number" && n >= 0, lease: isToken, name: isToken, use: isPositive,
    version: (n) => typeof n === "number" && n > 0,
  };
  return v.size > 0 && fits(v, shape) && v.has("item") === v.has("batch") && !(v.has("use") && !v.has("lease"));
}

const BODY = {
  "actor!": isActor, "at!": isTime, commit: isCommits, decision: isDecision, facts: isFacts, fields: isTokens, "institution!": isToken,
  key: (v) => v instanceof Map && isKey(v), "kind!": (v) => typeof v === "string" && KIND.test(v), net: isText,
  "nonce!": (v) => isHexOf(32)(v) && !/^0+$/.test(v), purpose: isToken, request: isToken, revision: isPositive, sim: (v) => v === true,
  "stage!": (v) => v === "intent" || v === "outcome" || v === "event", "subject!": isToken, "v!": (v) => v === 1,
};

// parseLeaf returns what an entry says, or throws NotCanonical.
function parseLeaf(bytes) {
  const s = new Scanner(bytes);
  if (bytes.length > 65535) s.fail("leaf too long");
  s.literal('{"body":');
  const from = s.i;
  const body = s.object(1);
  const bodyBytes = bytes.subarray(from, s.i);
  if (!fits(body, BODY)) s.fail("body is not of the schema");
  s.literal(',"id":');
  const id = toCount(s.string());
  s.literal(',"idx":');
  const index = toCount(s.string());
  s.literal(',"log":');
  const log = s.string();
  s.literal(',"seq_at":');
  const seqAt = s.string();
  s.literal(',"trail":{"n":');
  const n = toCount(s.string());
  s.literal(',"prev":');
  const prev = s.string();
  s.literal('},"v":1}');
  s.end();
  if (id === null || index === null || !n || !isToken(log) || !isTime(seqAt) || !isHexOf(64)(prev)) s.fail("wrapper is not of the schema");
  if (bodyBytes.length > 64000 || log.length > 255) s.fail("body or origin too long");
  return { bytes, body, id, index, log, seqAt, n, prev };
}

// say what an entry is about without repeating has/get everywhere.
const of = (leaf, name) => leaf.body.get(name);
const decisionOf = (leaf) => leaf.body.get("decision") || new Map();
const factsOf = (leaf) => leaf.body.get("facts") || new Map();
const actorOf = (leaf) => leaf.body.get("actor");
