// Notes: C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof, in exactly one spelling.

const MAX_NOTE = 1000000;
const MAX_SIGS = 100;
const ALG_ED25519 = 1;
const ALG_COSIGNATURE = 4;

// splitNote returns {text, sigs: [{name, id, sig}]}, or null for what is no signed note.
function splitNote(bytes) {
  let at = -1;
  for (let i = bytes.length - 2; i >= 0 && at < 0; i--) if (bytes[i] === 10 && bytes[i + 1] === 10) at = i;
  if (bytes.length > MAX_NOTE || at < 0 || bytes[bytes.length - 1] !== 10) return null;
  if (toText(bytes) === null || bytes.some((c) => c < 0x20 && c !== 10)) return null;
  const lines = toText(bytes.subarray(at + 2));
  if (lines === "") return null;
  const sigs = lines.slice(0, -1).split("\n").map(splitSignature);
  if (sigs.length > MAX_SIGS || sigs.includes(null)) return null;
  return { text: bytes.slice(0, at + 1), sigs };
}

function splitSignature(line) {
  const m = /^\u2014 ([^ +\t\r]+) ([^\r]+)$/.exec(line);
  const raw = m && fromBase64(m[2]);
  return raw && raw.length >= 5 ? { name: m[1], id: toHex(raw.subarray(0, 4)), sig: raw.slice(4) } : null;
}

// parseCheckpoint returns {origin, size, root} of a note's text; null for what is none. Extension lines are allowed and ignored.
function parseCheckpoint(text) {
  const lines = (toText(text) || "").split("\n");
  if (lines.length < 4 || lines[0] === "") return null;
  const size = toCount(lines[1]);
  const root = fromBase64(lines[2]);
  if (size === null || !root || root.length !== 32) return null;
  return { origin: lines[0], size, root };
}

// parseKey reads a verifier key "<name>+<8 hex>+<base64>" of one of the algorithms; null for anything else.
async function parseKey(text, algorithms) {
  const at = text.indexOf("+");
  const [id, ...rest] = text.slice(at + 1).split("+");
  const name = text.slice(0, at);
  const raw = fromBase64(rest.join("+"));
  if (at <= 0 || !/^[0-9a-fA-F]{8}$/.test(id || "") || !raw || raw.length !== 33 || !algorithms.includes(raw[0]) || /\s/.test(name)) return null;
  if ((await keyId(name, raw)) !== id.toLowerCase()) return null;
  return { name, id: id.toLowerCase(), key: raw.slice(1), algorithm: raw[0], vkey: text };
}

async function keyId(name, raw) {
  return toHex((await sha256(concat(utf8(name + "\n"), raw))).subarray(0, 4));
}

// witnessKey reads a witness's key: type 0x04, or a plain Ed25519 key taken in that role.
async function witnessKey(text) {
  const k = await parseKey(text, [ALG_ED25519, ALG_COSIGNATURE]);
  if (k) k.id = await keyId(k.name, concat(new Uint8Array([ALG_COSIGNATURE]), k.key));
  return k;
}

// verifyCosignature returns the witness's time in seconds (BigInt) or null.
async function verifyCosignature(witness, text, sig) {
  if (sig.length !== 72) return null;
  const unix = BigInt("0x" + toHex(sig.subarray(0, 8)));
  const message = concat(utf8("cosignature/v1\ntime " + unix + "\n"), text);
  return (await verifyEd25519(witness.key, message, sig.subarray(8))) ? unix : null;
}

// parseProof reads a tlog-proof: {index, path, checkpoint}; null for anything else, extra lines included.
function parseProof(bytes) {
  let at = -1;
  for (let i = 0; i + 1 < bytes.length && at < 0; i++) if (bytes[i] === 10 && bytes[i + 1] === 10) at = i;
  const head = at < 0 ? null : toText(bytes.subarray(0, at));
  if (!head) return null;
  const lines = head.split("\n");
  const m = /^index (.*)$/.exec(lines[1] || "");
  const index = m && toCount(m[1]);
  const path = lines.slice(2).map(fromBase64);
  if (lines[0] !== "c2sp.org/tlog-proof@v1" || typeof index !== "bigint" || path.some((h) => !h || h.length !== 32)) return null;
  return { index, path, checkpoint: bytes.subarray(at + 2) };
}
