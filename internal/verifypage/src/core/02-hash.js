// Hashes: WebCrypto where the browser offers it (crypto.subtle is missing on file:// in some), else our own few lines.

// engine says who computed: it is shown to the reader. Tests set the two flags to let the fallbacks decide.
const engine = {
  subtle: typeof crypto === "object" && crypto && crypto.subtle ? crypto.subtle : null,
  ed25519: true, // WebCrypto's Ed25519 may be asked; cleared where it turns out to be missing
  used: { webcrypto: 0, own: 0 }, // signatures verified by either
};

async function sha256(bytes) {
  return engine.subtle ? new Uint8Array(await engine.subtle.digest("SHA-256", bytes)) : ownSha256(bytes);
}

async function sha512(bytes) {
  return engine.subtle ? new Uint8Array(await engine.subtle.digest("SHA-512", bytes)) : ownSha512(bytes);
}

// primes returns the first n primes: the constants of SHA-2 are the fractions of their roots (FIPS 180-4, 4.2 and 5.3).
function primes(n) {
  const out = [];
  for (let p = 2; out.length < n; p++) if (out.every((q) => p % q)) out.push(p);
  return out;
}

// root returns floor(2^bits * p^(1/degree)) modulo 2^bits: the first bits of the fraction of the root, by bisection.
function rootFraction(p, degree, bits) {
  const target = BigInt(p) << BigInt(bits * degree);
  let low = 0n;
  let high = BigInt(p) << BigInt(bits);
  while (low < high) {
    const mid = (low + high + 1n) >> 1n;
    if (mid ** BigInt(degree) <= target) low = mid;
    else high = mid - 1n;
  }
  return low & ((1n << BigInt(bits)) - 1n);
}

const K256 = primes(64).map((p) => Number(rootFraction(p, 3, 32)) | 0);
const H256 = primes(8).map((p) => Number(rootFraction(p, 2, 32)) | 0);
const K512 = primes(80).map((p) => rootFraction(p, 3, 64));
const H512 = primes(8).map((p) => rootFraction(p, 2, 64));

// padded appends the bit 1, zeros and the length in bits, to a multiple of block bytes.
function padded(bytes, block, lengthBytes) {
  const out = new Uint8Array(Math.ceil((bytes.length + 1 + lengthBytes) / block) * block);
  out.set(bytes);
  out[bytes.length] = 0x80;
  out.set(bigEndian(BigInt(bytes.length) * 8n, lengthBytes), out.length - lengthBytes);
  return out;
}

function ownSha256(bytes) {
  const m = padded(bytes, 64, 8);
  const h = H256.slice();
  const w = new Int32Array(64);
  const rot = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < m.length; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = (m[at + 4 * i] << 24) | (m[at + 4 * i + 1] << 16) | (m[at + 4 * i + 2] << 8) | m[at + 4 * i + 3];
    for (let i = 16; i < 64; i++) {
      const s0 = rot(w[i - 15], 7) ^ rot(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rot(w[i - 2], 17) ^ rot(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, k] = h;
    for (let i = 0; i < 64; i++) {
      const t1 = (k + (rot(e, 6) ^ rot(e, 11) ^ rot(e, 25)) + ((e & f) ^ (~e & g)) + K256[i] + w[i]) | 0;
      const t2 = ((rot(a, 2) ^ rot(a, 13) ^ rot(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [k, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
    }
    [a, b, c, d, e, f, g, k].forEach((x, i) => (h[i] = (h[i] + x) | 0));
  }
  return concat(...h.map((x) => bigEndian(BigInt(x >>> 0), 4)));
}

function ownSha512(bytes) {
  const mask = (1n << 64n) - 1n;
  const m = padded(bytes, 128, 16);
  const h = H512.slice();
  const rot = (x, n) => ((x >> n) | (x << (64n - n))) & mask;
  for (let at = 0; at < m.length; at += 128) {
    const w = [];
    for (let i = 0; i < 16; i++) w[i] = BigInt("0x" + toHex(m.subarray(at + 8 * i, at + 8 * i + 8)));
    for (let i = 16; i < 80; i++) {
      const s0 = rot(w[i - 15], 1n) ^ rot(w[i - 15], 8n) ^ (w[i - 15] >> 7n);
      const s1 = rot(w[i - 2], 19n) ^ rot(w[i - 2], 61n) ^ (w[i - 2] >> 6n);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) & mask;
    }
    let [a, b, c, d, e, f, g, k] = h;
    for (let i = 0; i < 80; i++) {
      const t1 = (k + (rot(e, 14n) ^ rot(e, 18n) ^ rot(e, 41n)) + ((e & f) ^ (~e & mask & g)) + K512[i] + w[i]) & mask;
      const t2 = ((rot(a, 28n) ^ rot(a, 34n) ^ rot(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c))) & mask;
      [k, g, f, e, d, c, b, a] = [g, f, e, (d + t1) & mask, c, b, a, (t1 + t2) & mask];
    }
    [a, b, c, d, e, f, g, k].forEach((x, i) => (h[i] = (h[i] + x) & mask));
  }
  return concat(...h.map((x) => bigEndian(x, 8)));
}
