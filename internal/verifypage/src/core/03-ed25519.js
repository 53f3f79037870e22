// Ed25519 verification (RFC 8032, 5.1.7), by WebCrypto where it has it, else by our own lines over BigInt. Verification only:
// there is no secret, so nothing has to be constant in time.
//
// Implementations differ in what they make of odd encodings. Everybody here must come to the verdict of Go's crypto/ed25519:
//   - S is below the group's order;
//   - A may be spelled in a non-canonical way, may be of small order, and x = 0 with the sign bit is x = 0;
//   - R is not decoded: [S]B - [k]A is encoded and its bytes are compared with R's (no cofactor).
// WebCrypto is therefore asked only where all of them agree; for odd encodings of A or R our own lines decide.

const ED_P = (1n << 255n) - 19n;
const ED_L = (1n << 252n) + 27742317777372353535851937790883648493n;

function mod(a, m = ED_P) {
  const r = a % m;
  return r < 0n ? r + m : r;
}

function power(base, exponent) {
  let out = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) out = (out * b) % ED_P;
    b = (b * b) % ED_P;
  }
  return out;
}

const ED_D = mod(-121665n * power(121666n, ED_P - 2n));
const ED_I = power(2n, (ED_P - 1n) / 4n); // a square root of -1

function littleEndian(bytes) {
  let out = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) out = (out << 8n) | BigInt(bytes[i]);
  return out;
}

// edDecode reads a point as Go does: y modulo p, x by its sign; null where y is on no point of the curve.
function edDecode(bytes) {
  const raw = littleEndian(bytes);
  const sign = raw >> 255n;
  const y = mod(raw & ((1n << 255n) - 1n));
  const u = mod(y * y - 1n);
  const v = mod(ED_D * y * y + 1n);
  const v3 = (((v * v) % ED_P) * v) % ED_P;
  let x = (((u * v3) % ED_P) * power((((u * v3) % ED_P) * v3 * v) % ED_P, (ED_P - 5n) / 8n)) % ED_P;
  const check = (v * ((x * x) % ED_P)) % ED_P;
  if (check === mod(-u)) x = (x * ED_I) % ED_P;
  else if (check !== u) return null;
  if ((x & 1n) !== sign) x = mod(-x);
  return [x, y, 1n, (x * y) % ED_P];
}

// edAdd adds two points in extended coordinates; complete for this curve, so it also doubles (RFC 8032, 5.1.4).
function edAdd([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = ((y1 + x1) * (y2 + x2)) % ED_P;
  const c = (((2n * t1 * t2) % ED_P) * ED_D) % ED_P;
  const d = (2n * z1 * z2) % ED_P;
  const [e, f, g, h] = [mod(b - a), mod(d - c), d + c, b + a];
  return [(e * f) % ED_P, (g * h) % ED_P, (f * g) % ED_P, (e * h) % ED_P];
}

function edMultiply(point, n) {
  let out = [0n, 1n, 1n, 0n];
  for (let p = point; n > 0n; n >>= 1n) {
    if (n & 1n) out = edAdd(out, p);
    p = edAdd(p, p);
  }
  return out;
}

function edEncode([x, y, z]) {
  const inverse = power(z, ED_P - 2n);
  const out = bigEndian((y * inverse) % ED_P, 32).reverse();
  if (((x * inverse) % ED_P) & 1n) out[31] |= 0x80;
  return out;
}

const ED_BASE = edDecode(concat(new Uint8Array([0x58]), new Uint8Array(31).fill(0x66)));

// edOdd reports whether an encoding is one about which implementations disagree: not the canonical one, or of small order.
function edOdd(bytes) {
  const point = edDecode(bytes);
  if (!point) return true;
  if (!equal(edEncode(point), bytes)) return true;
  const [x, y, z] = edMultiply(point, 8n);
  return x === 0n && y === z;
}

async function ownEd25519(key, message, signature) {
  const a = edDecode(key);
  const s = littleEndian(signature.subarray(32));
  if (!a || s >= ED_L) return false;
  const r = signature.subarray(0, 32);
  const k = mod(littleEndian(await sha512(concat(r, key, message))), ED_L);
  const minusA = [mod(-a[0]), a[1], a[2], mod(-a[3])];
  return equal(edEncode(edAdd(edMultiply(ED_BASE, s), edMultiply(minusA, k))), r);
}

const edOddKeys = new Map(); // hex of a key -> whether it is odd: few keys, many signatures

async function verifyEd25519(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false;
  const name = toHex(key);
  if (!edOddKeys.has(name)) edOddKeys.set(name, edOdd(key));
  const ask = engine.subtle && engine.ed25519 && !edOddKeys.get(name) && !edSmallR(signature.subarray(0, 32));
  if (ask) {
    try {
      const imported = await engine.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      const good = await engine.subtle.verify({ name: "Ed25519" }, imported, signature, message);
      engine.used.webcrypto++;
      return good;
    } catch {
      engine.ed25519 = false; // an older browser
    }
  }
  engine.used.own++;
  return ownEd25519(key, message, signature);
}

// edSmallR reports whether R's y is not below p, or is that of a point of small order: 1, -1, 0 and the four of order 8.
function edSmallR(r) {
  const y = littleEndian(r) & ((1n << 255n) - 1n);
  return y >= ED_P || edSmallY.has(y);
}

// edSmallY holds y of the eight points of small order.
const edSmallY = (() => {
  const out = new Set([0n, 1n, ED_P - 1n]);
  const eighth = edOrderEight();
  for (let p = eighth, i = 0; i < 8; i++, p = edAdd(p, eighth)) out.add((p[1] * power(p[2], ED_P - 2n)) % ED_P);
  return out;
})();

// edOrderEight finds a point of order 8: any point times the group's order is one of the torsion, of which half have order 8.
function edOrderEight() {
  for (let y = 2n; ; y++) {
    const point = edDecode(bigEndian(y, 32).reverse());
    if (!point) continue;
    const torsion = edMultiply(point, ED_L);
    const [, y4, z4] = edMultiply(torsion, 4n);
    if (y4 !== z4) return torsion; // not yet the identity
  }
}
