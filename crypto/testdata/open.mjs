// A second implementation of docs/formats/sealed-field.md, written from that
// page alone on node:crypto: it opens every published vector and refuses every
// bad one. No packages.
//
//   node crypto/testdata/open.mjs crypto/testdata/vectors.json
//
// It prints one JSON object: what it opened and refused, what failed, and what
// it could not check because this Node's OpenSSL has no SM3 or SM4 (some
// distributions leave them out). It exits 1 if anything failed.
import { createCipheriv, createDecipheriv, createHash, createHmac, getCiphers, getHashes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'

// ---- notation (section 1) ----

const hex = s => Buffer.from(s, 'hex')
const text = s => Buffer.from(s, 'utf8')
const u8 = n => Buffer.from([n])
const u32 = n => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b }
const u64 = n => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(n)); return b }
const cat = (...parts) => Buffer.concat(parts)
const lp = b => cat(u32(b.length), b)
const same = (a, b) => a.length === b.length && timingSafeEqual(a, b)

class Refused extends Error {}
const refuse = finding => { throw new Refused(finding) }

const ciphers = new Set(getCiphers())
const hashes = new Set(getHashes())

// ---- suites (section 2) ----

const suites = {
  1: { hash: 'sha256', keySize: 32, open: openAES },
  2: { hash: 'sm3', keySize: 16, open: openSM4 },
}

const digest = (suite, b) => createHash(suites[suite].hash).update(b).digest()
const hmac = (suite, key, msg) => createHmac(suites[suite].hash, key).update(msg).digest()
// HKDF-Expand of at most one block.
const expand = (suite, key, info, size) => hmac(suite, key, cat(info, u8(1))).subarray(0, size)

function openGCM(name, key, nonce, aad, sealed) {
  const d = createDecipheriv(name, key, nonce, { authTagLength: 16 })
  d.setAAD(aad)
  d.setAuthTag(sealed.subarray(sealed.length - 16))
  try {
    return cat(d.update(sealed.subarray(0, sealed.length - 16)), d.final())
  } catch {
    return null
  }
}

function openAES(key, nonce, aad, sealed) {
  return openGCM('aes-256-gcm', key, nonce, aad, sealed)
}

// OpenSSL has SM4-GCM since 3.1; before, GCM is put together from the block
// cipher and its counter mode (NIST SP 800-38D).
function openSM4(key, nonce, aad, sealed) {
  if (ciphers.has('sm4-gcm')) return openGCM('sm4-gcm', key, nonce, aad, sealed)
  const ciphertext = sealed.subarray(0, sealed.length - 16)
  const block = b => { const c = createCipheriv('sm4-ecb', key, null); c.setAutoPadding(false); return cat(c.update(b), c.final()) }
  const counter = n => cat(nonce, u32(n))
  const tag = ghash(block(Buffer.alloc(16)), aad, ciphertext)
  const mask = block(counter(1))
  for (let i = 0; i < 16; i++) tag[i] ^= mask[i]
  if (!same(tag, sealed.subarray(sealed.length - 16))) return null
  const d = createDecipheriv('sm4-ctr', key, counter(2))
  return cat(d.update(ciphertext), d.final())
}

function ghash(h, aad, ciphertext) {
  const padded = b => cat(b, Buffer.alloc((16 - b.length % 16) % 16))
  const all = cat(padded(aad), padded(ciphertext), u64(aad.length * 8), u64(ciphertext.length * 8))
  const num = b => BigInt('0x' + b.toString('hex'))
  const H = num(h)
  let y = 0n
  for (let i = 0; i < all.length; i += 16) y = multiply(y ^ num(all.subarray(i, i + 16)), H)
  return hex(y.toString(16).padStart(32, '0'))
}

function multiply(x, v) {
  const reduce = 0xe1n << 120n
  let z = 0n
  for (let i = 127n; i >= 0n; i--) {
    if (x >> i & 1n) z ^= v
    v = v & 1n ? v >> 1n ^ reduce : v >> 1n
  }
  return z
}

// why says what this Node lacks for a suite; "" means nothing.
function why(suite) {
  if (suite !== 2) return ''
  if (!hashes.has('sm3')) return 'no SM3 in this OpenSSL'
  if (!ciphers.has('sm4-gcm') && !(ciphers.has('sm4-ecb') && ciphers.has('sm4-ctr'))) return 'no SM4 in this OpenSSL'
  return ''
}

// ---- fields (sections 3 to 5) ----

function name(s) {
  const b = text(s)
  if (b.length < 1 || b.length > 1024 || s.normalize('NFC') !== s) refuse('name')
  return lp(b)
}

function aadOf(p, flags) {
  return cat(text('stf1'), u8(p.suite), u8(p.kind), name(p.institution), name(p.record), name(p.record_type), name(p.path),
    u32(p.schema_version), u32(p.generation), u64(p.revision), u8(flags))
}

function fieldKey(dek, p, aad) {
  return expand(p.suite, dek, cat(text('stf1/field'), u8(p.suite), digest(p.suite, aad)), suites[p.suite].keySize)
}

// open returns {value, isNull, aad, key, padded}, or throws a Refused with the finding.
function open(dek, p, env) {
  if (env.length < 48) refuse('envelope.length')
  if (env[0] !== 1) refuse('envelope.version')
  if (env[1] !== p.suite) refuse('envelope.suite')
  const flags = env[2]
  if (flags > 2) refuse('envelope.flags')
  if (env[3] !== 0) refuse('envelope.reserved')
  if (!same(env.subarray(4, 8), u32(p.generation))) refuse('envelope.generation')
  if (!same(env.subarray(8, 12), u32(p.schema_version))) refuse('envelope.schema')
  if (!same(env.subarray(12, 20), u64(p.revision))) refuse('envelope.revision')
  if (flags === 2 && env.length !== 48) refuse('envelope.length')
  const aad = aadOf(p, flags)
  const key = fieldKey(dek, p, aad)
  const padded = suites[p.suite].open(key, env.subarray(20, 32), aad, env.subarray(32)) ?? refuse('envelope.tag')
  let value = padded
  if (flags === 1) {
    let i = padded.length - 1
    while (i >= 0 && padded[i] === 0) i--
    if (i < 0 || padded[i] !== 0x80) refuse('envelope.padding')
    value = padded.subarray(0, i)
  }
  return { value, isNull: flags === 2, flags, aad, key, padded }
}

// ---- manifest (section 6) ----

function manifestKey(suite, dek) {
  return expand(suite, dek, text('stf1/manifest'), 32)
}

function verifyManifest(suite, m, stored) {
  if (stored.length < 4 + 4 + 32) refuse('manifest.format')
  const list = stored.subarray(0, stored.length - 32)
  const mac = hmac(suite, manifestKey(suite, hex(m.dek)), cat(text('stm1'), name(m.institution), name(m.record),
    u64(m.revision), u32(m.schema_version), lp(hex(m.attrs)), list))
  if (!same(mac, stored.subarray(stored.length - 32))) refuse('manifest.mac')
  if (list.subarray(0, 4).toString('latin1') !== 'stm1') refuse('manifest.format')
  const count = list.readUInt32BE(4)
  const fields = []
  let at = 8
  for (let i = 0; i < count; i++) {
    if (list.length - at < 4) refuse('manifest.format')
    const length = list.readUInt32BE(at)
    if (list.length - at < 4 + length + 8 + 1 + 32) refuse('manifest.format')
    const path = list.subarray(at + 4, at + 4 + length)
    at += 4 + length
    if (list[at + 8] !== suite) refuse('manifest.format')
    if (i > 0 && Buffer.compare(fields[i - 1].path, path) >= 0) refuse('manifest.format')
    fields.push({ path, revision: list.readBigUInt64BE(at), digest: list.subarray(at + 9, at + 41) })
    at += 41
  }
  if (at !== list.length) refuse('manifest.format')
  return fields
}

// ---- the vectors ----

const report = { node: process.version, openssl: process.versions.openssl, opened: 0, refused: 0, verified: 0, reproduced: 0, failed: [], not_checked: [] }

function check(kind, label, suite, f) {
  const missing = why(suite)
  if (missing) return report.not_checked.push(`${label}: ${missing}`)
  try {
    f()
    report[kind]++
  } catch (e) {
    report.failed.push(`${label}: ${e.message}`)
  }
}

function expectSame(what, got, want) {
  if (!same(got, want)) throw new Error(`${what} is ${got.toString('hex')}, want ${want.toString('hex')}`)
}

function expectRefusal(finding, f) {
  try {
    f()
  } catch (e) {
    if (e instanceof Refused && e.message === finding) return
    throw new Error(`refused as ${e.message}, want ${finding}`)
  }
  throw new Error(`accepted, want ${finding}`)
}

// JSON numbers of JavaScript end at 2^53, revisions do not.
const vectors = JSON.parse(readFileSync(process.argv[2], 'utf8').replace(/"revision": ?(\d+)/g, '"revision":"$1"'))

for (const v of vectors.fields) {
  check('opened', v.name, v.place.suite, () => {
    const got = open(hex(v.dek), v.place, hex(v.envelope))
    expectSame('the additional data', got.aad, hex(v.aad))
    expectSame('the field key', got.key, hex(v.field_key))
    expectSame('the plaintext', got.padded, hex(v.padded))
    expectSame('the value', got.value, hex(v.value))
    if (got.isNull !== (v.shape === 'null') || got.flags !== v.flags) throw new Error(`flags are ${got.flags}`)
  })
}
for (const v of vectors.refused_fields) {
  check('refused', v.name, v.place.suite, () => expectRefusal(v.finding, () => open(hex(v.dek), v.place, hex(v.envelope))))
}
const manifests = new Map(vectors.manifests.map(m => [m.name, m]))
for (const m of vectors.manifests) {
  check('verified', m.name, m.suite, () => {
    expectSame('the manifest key', manifestKey(m.suite, hex(m.dek)), hex(m.manifest_key))
    const got = verifyManifest(m.suite, m, hex(m.stored))
    if (got.length !== m.fields.length) throw new Error(`${got.length} fields`)
    got.forEach((f, i) => {
      expectSame('a path', f.path, text(m.fields[i].path))
      expectSame('a digest', f.digest, hex(m.fields[i].digest))
      if (f.revision !== BigInt(m.fields[i].revision)) throw new Error(`revision ${f.revision}`)
    })
  })
}
for (const v of vectors.refused_manifests) {
  check('refused', v.name, v.suite, () => expectRefusal(v.finding, () => verifyManifest(v.suite, manifests.get(v.against), hex(v.stored))))
}
for (const v of vectors.contexts) {
  check('reproduced', `context of ${v.record}`, 1, () =>
    expectSame('the context', cat(text('stk1'), lp(text(v.institution)), lp(text(v.record)), u8(v.kind), u32(v.generation)), hex(v.context)))
}
for (const v of vectors.commitments) {
  check('reproduced', 'commitment', 1, () => expectSame('the commitment', expand(1, hex(v.dek), text('stf1/commitment'), 32), hex(v.commitment)))
}
for (const v of vectors.index_inputs) {
  check('reproduced', `token of ${v.field}`, 1, () => {
    const input = cat(text('stx1'), lp(text(v.institution)), lp(text(v.field)), u32(v.epoch), text(v.normalised))
    expectSame('the input', input, hex(v.input))
    expectSame('the token', hmac(1, hex(v.key), input), hex(v.token))
  })
}
console.log(JSON.stringify(report))
process.exitCode = report.failed.length > 0 ? 1 : 0
