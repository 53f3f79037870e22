// Canonical JSON: RFC 8785 in the restricted form of docs/formats/trail-entry.md, rules 1 to 6. Bytes that are not the one
// spelling of what they say are refused, not repaired.

class NotCanonical extends Error {
  constructor(at, reason) {
    super("not canonical at byte " + at + ": " + reason);
  }
}

const MAX_DEPTH = 16;
const NAME_BYTES = /^[a-z0-9_./:-]+$/;
const SHORT_ESCAPES = { 0x62: "\b", 0x74: "\t", 0x6e: "\n", 0x66: "\f", 0x72: "\r", 0x22: '"', 0x5c: "\\" };

class Scanner {
  constructor(bytes) {
    this.b = bytes;
    this.i = 0;
  }

  fail(reason) {
    throw new NotCanonical(this.i, reason);
  }

  expect(char) {
    if (this.b[this.i] !== char.charCodeAt(0)) this.fail("unexpected byte or end");
    this.i++;
  }

  literal(text) {
    for (const c of text) this.expect(c);
  }

  end() {
    if (this.i !== this.b.length) this.fail("bytes after the value");
  }

  value(depth) {
    if (depth >= MAX_DEPTH) this.fail("nested too deep");
    switch (this.b[this.i]) {
      case 0x22:
        return this.string();
      case 0x7b:
        return this.object(depth);
      case 0x5b:
        return this.array(depth);
      case 0x74:
        this.literal("true");
        return true;
      case 0x66:
        this.literal("false");
        return false;
    }
    return this.integer();
  }

  // object returns a Map in the order of the names.
  object(depth) {
    const out = new Map();
    this.expect("{");
    if (this.b[this.i] === 0x7d) {
      this.i++;
      return out;
    }
    for (let previous = null; ; ) {
      const name = this.string();
      if (!NAME_BYTES.test(name)) this.fail("a byte that names may not have");
      if (previous !== null && !(previous < name)) this.fail("names out of order or twice");
      previous = name;
      this.expect(":");
      out.set(name, this.value(depth + 1));
      if (!this.more(0x7d)) return out;
    }
  }

  array(depth) {
    const out = [];
    this.expect("[");
    if (this.b[this.i] === 0x5d) {
      this.i++;
      return out;
    }
    do out.push(this.value(depth + 1));
    while (this.more(0x5d));
    return out;
  }

  more(closing) {
    const c = this.b[this.i++];
    if (c === 0x2c) return true;
    if (c !== closing) this.fail("neither a comma nor the end of the list");
    return false;
  }

  string() {
    this.expect('"');
    let out = "";
    let from = this.i;
    for (;;) {
      const c = this.b[this.i];
      if (c === undefined) this.fail("string without end");
      if (c >= 0x20 && c !== 0x22 && c !== 0x5c) {
        this.i++;
        continue;
      }
      if (c < 0x20) this.fail("control character not escaped");
      const plain = toText(this.b.subarray(from, this.i));
      if (plain === null) this.fail("not UTF-8");
      out += plain;
      if (c === 0x22) {
        this.i++;
        return out;
      }
      out += this.escape();
      from = this.i;
    }
  }

  escape() {
    const kind = this.b[this.i + 1];
    if (kind in SHORT_ESCAPES) {
      this.i += 2;
      return SHORT_ESCAPES[kind];
    }
    const digits = toText(this.b.subarray(this.i + 2, this.i + 6)) || "";
    const code = parseInt(digits, 16);
    if (kind !== 0x75 || !/^00[01][0-9a-f]$/.test(digits) || [8, 9, 10, 12, 13].includes(code)) this.fail("escape that is not the canonical one");
    this.i += 6;
    return String.fromCharCode(code);
  }

  integer() {
    const from = this.i;
    while (this.i < this.b.length && this.i - from < 18 && /[-0-9]/.test(String.fromCharCode(this.b[this.i]))) this.i++;
    const text = toText(this.b.subarray(from, this.i));
    if (!/^(0|-?[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(Number(text))) this.fail("not a value of the restricted form");
    return Number(text);
  }
}

// scanObject reads one canonical object.
function scanObject(bytes) {
  const s = new Scanner(bytes);
  if (bytes[0] !== 0x7b) s.fail("not an object");
  const out = s.value(0);
  s.end();
  return out;
}
