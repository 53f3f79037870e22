// Bytes: the few conversions that everything else needs. Nothing here knows what is verified.

const HEX = /^[0-9a-f]*$/;

function toHex(bytes) {
  let out = "";
  for (const b of bytes) out += (b < 16 ? "0" : "") + b.toString(16);
  return out;
}

// fromHex reads lower-case hex of even length; null for anything else.
function fromHex(text) {
  if (text.length % 2 || !HEX.test(text)) return null;
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const utf8 = (text) => new TextEncoder().encode(text);

// toText decodes UTF-8 strictly; null where the bytes are none. A byte order mark is kept: it is a character like any other.
function toText(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function concat(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function equal(a, b) {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

// bigEndian writes n (BigInt) into width bytes.
function bigEndian(n, width) {
  const out = new Uint8Array(width);
  for (let i = width - 1; i >= 0; i--, n >>= 8n) out[i] = Number(n & 255n);
  return out;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// fromBase64 reads padded base64 with exactly one spelling (no stray bits, no line breaks); null for anything else.
function fromBase64(text) {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  const body = text.replace(/=+$/, "");
  const out = new Uint8Array(Math.floor((body.length * 6) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const c of body) {
    bits = ((bits << 6) | BASE64.indexOf(c)) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[at++] = (bits >> held) & 255;
    }
  }
  const stray = bits & ((1 << held) - 1);
  return stray ? null : out;
}

function toBase64(bytes) {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const n = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
    const left = bytes.length - i;
    out += BASE64[n >> 18] + BASE64[(n >> 12) & 63] + (left > 1 ? BASE64[(n >> 6) & 63] : "=") + (left > 2 ? BASE64[n & 63] : "=");
  }
  return out;
}

// toCount reads a 64-bit number in its usual decimal spelling as a BigInt; null for anything else.
function toCount(text) {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(text)) return null;
  const n = BigInt(text);
  return n < 1n << 64n ? n : null;
}
