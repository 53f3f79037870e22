// Merkle: RFC 6962 inclusion and consistency (RFC 9162, 2.1.3.2 and 2.1.4.2), and the sparse map of trail heads.

const leafHash = (bytes) => sha256(concat(new Uint8Array([0]), bytes));
const nodeHash = (left, right) => sha256(concat(new Uint8Array([1]), left, right));
const EMPTY_HEAD = new Uint8Array(32);

// rootFromInclusion returns the root to which a path leads; null if the path has not the length of that place.
async function rootFromInclusion(index, size, hash, path) {
  if (index >= size) return null;
  let fn = index;
  let sn = size - 1n;
  let r = hash;
  for (const p of path) {
    if (sn === 0n) return null;
    if (fn & 1n || fn === sn) {
      r = await nodeHash(p, r);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      r = await nodeHash(r, p);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n ? r : null;
}

// consistent reports whether the tree (from, fromRoot) is a prefix of the tree (to, toRoot).
async function consistent(from, to, fromRoot, toRoot, path) {
  if (from > to || from < 0n) return false;
  if (from === to) return path.length === 0 && equal(fromRoot, toRoot);
  if (from === 0n) return path.length === 0 && equal(fromRoot, await sha256(new Uint8Array(0)));
  const steps = path.slice();
  if ((from & (from - 1n)) === 0n) steps.unshift(fromRoot); // a power of two: its root is a node of the larger tree
  if (steps.length === 0) return false;
  let fn = from - 1n;
  let sn = to - 1n;
  while (fn & 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let fr = steps[0];
  let sr = steps[0];
  for (const c of steps.slice(1)) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      fr = await nodeHash(c, fr);
      sr = await nodeHash(c, sr);
      while (!(fn & 1n) && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      sr = await nodeHash(sr, c);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && equal(fr, fromRoot) && equal(sr, toRoot);
}

const headKey = (subject) => sha256(utf8("sealtrail/trail/v1\n" + subject));
const headLeaf = (key, n, last) => sha256(concat(new Uint8Array([0]), key, bigEndian(BigInt(n), 8), last));
const headBit = (key, depth) => (key[depth >> 3] >> (7 - (depth & 7))) & 1;

// rootOfHeads folds a path (siblings from the root downwards) up from the node that stands at its end.
async function rootOfHeads(key, node, path) {
  let r = node;
  for (let depth = path.length - 1; depth >= 0; depth--) {
    r = headBit(key, depth) ? await nodeHash(path[depth], r) : await nodeHash(r, path[depth]);
  }
  return r;
}

// samePath reports whether two keys agree in their first bits.
function samePath(a, b, bits) {
  for (let d = 0; d < bits; d++) if (headBit(a, d) !== headBit(b, d)) return false;
  return true;
}
