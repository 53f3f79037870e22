// Zip: the one form of zip that a bundle has (docs/formats/evidence-bundle.md, rules 1 to 3). The deflate streams are unpacked by
// our own lines: the browser's DecompressionStream does not say whether a stream ends where its data end.

const ZIP_LIMIT = 64 * 1024 * 1024; // bytes of the file, and of all files unpacked
const ZIP_FILES = 65534;

// Refusal ends the reading of a bundle: step 1 shows its code, and where.
class Refusal extends Error {
  constructor(code, path, detail) {
    super(code + " " + (path || ""));
    this.code = code;
    this.path = path || "";
    this.detail = detail;
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ bytes[i]) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

// huffman makes the decoding table of code lengths (RFC 1951, 3.2.2): counts per length and symbols in order. Null for lengths
// that are no complete code; a single code of one bit is allowed, as zlib allows it.
function huffman(lengths) {
  const counts = new Uint16Array(16);
  for (const l of lengths) counts[l]++;
  counts[0] = 0;
  let left = 1;
  for (let l = 1; l < 16; l++) {
    left = left * 2 - counts[l];
    if (left < 0) return null;
  }
  const used = counts.reduce((a, b) => a + b, 0);
  if (left > 0 && !(used === 1 && counts[1] === 1) && used !== 0) return null;
  const offsets = new Uint16Array(17);
  for (let l = 1; l < 16; l++) offsets[l + 1] = offsets[l] + counts[l];
  const symbols = new Uint16Array(used);
  lengths.forEach((l, symbol) => {
    if (l) symbols[offsets[l]++] = symbol;
  });
  return { counts, symbols };
}

const FIXED = {
  literals: huffman(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
  distances: huffman(new Array(32).fill(5)),
};
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

// extras gives base and extra bits of length and distance codes (RFC 1951, 3.2.5).
const LENGTHS = Array.from({ length: 29 }, (_, i) => (i === 28 ? [258, 0] : i < 8 ? [3 + i, 0] : [3 + ((4 + (i & 3)) << ((i >> 2) - 1)), (i >> 2) - 1]));
const DISTANCES = Array.from({ length: 30 }, (_, i) => (i < 4 ? [1 + i, 0] : [1 + ((2 + (i & 1)) << ((i >> 1) - 1)), (i >> 1) - 1]));

class Inflater {
  constructor(packed, size) {
    this.p = packed;
    this.i = 0;
    this.held = 0;
    this.bits = 0;
    this.out = new Uint8Array(size);
    this.at = 0;
  }

  bad() {
    throw new Refusal("zip_content");
  }

  take(n) {
    while (this.bits < n) {
      if (this.i >= this.p.length) this.bad();
      this.held |= this.p[this.i++] << this.bits;
      this.bits += 8;
    }
    const v = this.held & ((1 << n) - 1);
    this.held >>>= n;
    this.bits -= n;
    return v;
  }

  symbol(table) {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let l = 1; l < 16; l++) {
      code |= this.take(1);
      const count = table.counts[l];
      if (code - first < count) return table.symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return this.bad();
  }

  push(byte) {
    if (this.at >= this.out.length) this.bad();
    this.out[this.at++] = byte;
  }

  stored() {
    this.held = this.bits = 0;
    const n = this.p[this.i] | (this.p[this.i + 1] << 8);
    const check = this.p[this.i + 2] | (this.p[this.i + 3] << 8);
    this.i += 4;
    if (this.i > this.p.length || n !== (~check & 0xffff) || this.i + n > this.p.length || this.at + n > this.out.length) this.bad();
    this.out.set(this.p.subarray(this.i, this.i + n), this.at);
    this.at += n;
    this.i += n;
  }

  // tables reads the codes of a dynamic block (RFC 1951, 3.2.7).
  tables() {
    const literals = this.take(5) + 257;
    const distances = this.take(5) + 1;
    const codes = this.take(4) + 4;
    const lengths = new Array(19).fill(0);
    for (let i = 0; i < codes; i++) lengths[LENGTH_ORDER[i]] = this.take(3);
    const table = huffman(lengths) || this.bad();
    const all = [];
    while (all.length < literals + distances) {
      const s = this.symbol(table);
      if (s < 16) {
        all.push(s);
        continue;
      }
      if (s === 16 && all.length === 0) this.bad();
      const value = s === 16 ? all[all.length - 1] : 0;
      const n = s === 16 ? 3 + this.take(2) : s === 17 ? 3 + this.take(3) : 11 + this.take(7);
      for (let i = 0; i < n; i++) all.push(value);
    }
    if (all.length !== literals + distances || literals > 286 || distances > 30 || all[256] === 0) this.bad();
    return { literals: huffman(all.slice(0, literals)) || this.bad(), distances: huffman(all.slice(literals)) || this.bad() };
  }

  block(tables) {
    for (;;) {
      const s = this.symbol(tables.literals);
      if (s < 256) {
        this.push(s);
        continue;
      }
      if (s === 256) return;
      const [base, extra] = LENGTHS[s - 257] || this.bad();
      const n = base + this.take(extra);
      const [far, farExtra] = DISTANCES[this.symbol(tables.distances)] || this.bad();
      const distance = far + this.take(farExtra);
      if (distance > this.at) this.bad();
      for (let i = 0; i < n; i++) this.push(this.out[this.at - distance]);
    }
  }

  // all unpacks everything; the stream ends exactly with its data.
  all() {
    for (let last = 0; !last; ) {
      last = this.take(1);
      const kind = this.take(2);
      if (kind === 0) this.stored();
      else if (kind === 1) this.block(FIXED);
      else if (kind === 2) this.block(this.tables());
      else this.bad();
    }
    if (this.at !== this.out.length || this.i !== this.p.length) this.bad();
    return this.out;
  }
}

const ZIP_NAMES = [
  [/^README\.txt$/, 64 << 10],
  [/^evidence\.json$/, 16 << 20],
  [/^verify\.html$/, 4 << 20],
  [/^blob\/sha256\/[0-9a-f]{64}$/, ZIP_LIMIT],
  [/^log\/(0|[1-9][0-9]*)\/checkpoint$/, 16384],
  [/^log\/(0|[1-9][0-9]*)\/entries\/(0|[1-9][0-9]*)\.json$/, 65535],
  [/^log\/(0|[1-9][0-9]*)\/proofs\/(0|[1-9][0-9]*)\.tlog-proof$/, 32768],
  [/^stamp\/(0|[1-9][0-9]*)\/(0|[1-9][0-9]*)\.tsr$/, 65536],
];

// zipHeads reads the central part: where each file lies. Every number that a header may not choose is compared.
function zipHeads(zip) {
  const malformed = () => new Refusal("zip_malformed");
  if (zip.length > ZIP_LIMIT) throw new Refusal("zip_limit");
  if (zip.length < 22) throw malformed();
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength);
  const end = zip.length - 22;
  const count = view.getUint16(end + 10, true);
  const from = view.getUint32(end + 16, true);
  const good =
    view.getUint32(end, true) === 0x06054b50 && view.getUint32(end + 4, true) === 0 && view.getUint16(end + 8, true) === count &&
    view.getUint16(end + 20, true) === 0 && from + view.getUint32(end + 12, true) === end && count > 0 && count <= ZIP_FILES;
  if (!good) throw malformed();
  const files = [];
  let central = from;
  let local = 0;
  for (let i = 0; i < count; i++) {
    if (central + 46 > end || local + 30 > from) throw malformed();
    const n = view.getUint16(central + 28, true);
    const [packed, size] = [view.getUint32(central + 20, true), view.getUint32(central + 24, true)];
    const method = view.getUint16(central + 10, true);
    const name = zip.subarray(central + 46, central + 46 + n);
    const fixed =
      view.getUint32(central, true) === 0x02014b50 && view.getUint16(central + 4, true) === 20 && view.getUint32(central + 30, true) === 0 &&
      view.getUint32(central + 34, true) === 0 && view.getUint32(central + 38, true) === 0 && view.getUint32(central + 42, true) === local &&
      view.getUint32(local, true) === 0x04034b50 && equal(zip.subarray(central + 6, central + 30), zip.subarray(local + 4, local + 28)) &&
      view.getUint16(local + 28, true) === 0 && view.getUint16(central + 6, true) === 20 && view.getUint16(central + 8, true) === 0 &&
      view.getUint32(central + 12, true) === 33 << 16 && (method === 8 || (method === 0 && packed === size));
    const data = local + 30 + n;
    if (!fixed || central + 46 + n > end || data + packed > from || !equal(name, zip.subarray(local + 30, data))) throw malformed();
    files.push({ raw: name, method, size, crc: view.getUint32(central + 16, true), packed: zip.subarray(data, data + packed) });
    central += 46 + n;
    local = data + packed;
  }
  if (central !== end || local !== from) throw malformed();
  return files;
}

// readZip returns the files of a bundle: Map of name to bytes.
function readZip(zip) {
  const files = zipHeads(zip);
  const out = new Map();
  let left = ZIP_LIMIT;
  let previous = null;
  for (const f of files) {
    f.name = toText(f.raw) || "";
    const rule = ZIP_NAMES.find(([form]) => form.test(f.name));
    if (!rule) throw new Refusal("zip_name", f.name);
    if (previous !== null && !(previous < f.name)) throw new Refusal("zip_order", f.name);
    previous = f.name;
    left -= f.size;
    if (f.size > rule[1] || left < 0) throw new Refusal("zip_limit", f.name);
  }
  for (const f of files) {
    let bytes;
    try {
      bytes = f.method === 0 ? f.packed.slice() : new Inflater(f.packed, f.size).all();
    } catch {
      throw new Refusal("zip_content", f.name);
    }
    if (crc32(bytes) !== f.crc) throw new Refusal("zip_content", f.name);
    out.set(f.name, bytes);
  }
  return out;
}
