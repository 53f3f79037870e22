// Steps 2 to 4: who signed the checkpoints, who cosigned them, and whether the log still holds what the reader saw earlier.

// signedBy reports how a note stands to a key: "good", "bad" (a line claims the key and does not verify) or "none".
async function signedBy(note, key) {
  let state = "none";
  for (const s of note.sigs) {
    if (s.id !== key.id || s.name !== key.name) continue;
    if (!(await verifyEd25519(key.key, note.text, s.sig))) return "bad";
    state = "good";
  }
  return state;
}

async function checkSignatures(b, given, report) {
  if (given.keys.length === 0) {
    for (const log of b.logs) report.note(SIGNATURE, "not checked: no key. The bundle says of " + log.origin + ": " + log.key, "未检查:未提供公钥。证据包自称日志 " + log.origin + " 的公钥为:" + log.key);
    return;
  }
  for (const log of b.logs) {
    const key = given.keys.find((k) => k.name === log.origin);
    if (!key) {
      report.find(SIGNATURE, "no_key", { path: log.path, want: log.origin });
      continue;
    }
    if ((await signedBy(log.note, key)) === "good") report.compared(SIGNATURE, "signed by " + key.name + "+" + key.id, "签名公钥 " + key.name + "+" + key.id, toHex(log.checkpoint.root));
    else report.find(SIGNATURE, "checkpoint_signature", { path: log.path, want: key.name + "+" + key.id });
    if (log.key.trim() !== key.vkey) report.note(SIGNATURE, "the bundle names another key for " + log.origin + " than the one that you gave", "证据包所称 " + log.origin + " 的公钥与您提供的不同");
  }
  report.pass(SIGNATURE);
}

async function checkWitnesses(b, given, report) {
  if (given.witnesses.length === 0) {
    report.note(WITNESSES, "not checked: no witness", "未检查:没有见证方");
    return;
  }
  const quorum = given.quorum || given.witnesses.length;
  for (const log of b.logs) {
    const times = new Map();
    for (const s of log.note.sigs) {
      const witness = given.witnesses.find((w) => w.id === s.id) || given.witnesses.find((w) => w.name === s.name);
      if (!witness || (given.keys.some((k) => k.id === s.id && k.name === s.name))) continue;
      const unix = witness.id === s.id && witness.name === s.name ? await verifyCosignature(witness, log.note.text, s.sig) : null;
      if (unix === null) report.find(WITNESSES, "cosignature", { path: log.path, want: witness.name });
      else if (!times.has(witness) || times.get(witness) < unix) times.set(witness, unix);
    }
    if (times.size < quorum) report.find(WITNESSES, "not_cosigned", { path: log.path, want: String(quorum), got: String(times.size) });
    for (const [w, unix] of times) report.compared(WITNESSES, "cosigned by " + w.name + " at " + isoTime(unix), w.name + " 联署,时间 " + isoTime(unix), "");
  }
  report.pass(WITNESSES);
}

// isoTime spells seconds since 1970; what no calendar holds stays a number.
function isoTime(unix) {
  const d = new Date(Number(unix) * 1000);
  return Number.isNaN(d.getTime()) ? String(unix) : d.toISOString().replace(".000Z", "Z");
}

// proofFrom returns the consistency proof from that size of a log, or null.
function proofFrom(b, log, size) {
  const found = b.list("consistency").find((c) => c.log === log.number && BigInt(c.from) === size);
  return found ? found.path.map(fromHex) : null;
}

async function checkPinned(b, given, report) {
  if (given.pinned.length === 0) {
    report.note(PINNED, "not checked: no earlier checkpoint", "未检查:没有先前保存的检查点");
    return;
  }
  let unchecked = 0;
  const skip = (en, zh) => (unchecked++, report.note(PINNED, "not checked: " + en, "未检查:" + zh));
  for (const { note, checkpoint } of given.pinned) {
    const key = given.keys.find((k) => k.name === checkpoint.origin);
    if (!key || (await signedBy(note, key)) !== "good") {
      report.find(PINNED, "pinned_signature", { want: checkpoint.origin });
      continue;
    }
    const log = b.logs.find((l) => l.origin === checkpoint.origin);
    const size = checkpoint.size;
    if (!log) {
      skip("the kept checkpoint is of " + checkpoint.origin + ", which is not in this bundle", "所存检查点属于 " + checkpoint.origin + ",不在此证据包内");
      continue;
    }
    const [want, got] = [toHex(checkpoint.root), toHex(log.checkpoint.root)];
    if (size > log.checkpoint.size) {
      skip("the kept checkpoint is of size " + size + ", larger than the bundle's " + log.checkpoint.size, "所存检查点规模 " + size + " 大于证据包的 " + log.checkpoint.size);
      continue;
    }
    const path = size === log.checkpoint.size || size === 0n ? [] : proofFrom(b, log, size);
    if (!path) skip("the bundle holds no proof from the kept size " + size, "证据包没有自所存规模 " + size + " 起的证明");
    else if (await consistent(size, log.checkpoint.size, checkpoint.root, log.checkpoint.root, path)) report.compared(PINNED, "size " + size + " is a prefix of size " + log.size, "规模 " + size + " 为规模 " + log.size + " 的前缀", want);
    else report.find(PINNED, "history_changed", { path: log.path, want, got });
  }
  if (unchecked === 0) report.pass(PINNED);
}
