// Verify: the whole of it, in the order of the steps.

// readGiven turns what the reader brings (texts) into keys and notes. errors says which of it is unusable.
async function readGiven(texts) {
  const given = { keys: [], witnesses: [], pinned: [], quorum: texts.quorum || 0, opens: texts.opens || OPENS, errors: [] };
  const lines = (text) => (text || "").split(/\r?\n/).map((l) => l.trim()).filter((l) => l && !l.startsWith("#"));
  for (const line of lines(texts.keys)) {
    const k = await parseKey(line, [ALG_ED25519]);
    if (k) given.keys.push(k);
    else given.errors.push({ field: "keys", text: line });
  }
  for (const line of lines(texts.witnesses)) {
    const k = await witnessKey(line);
    if (k && !given.witnesses.some((w) => w.id === k.id || w.name === k.name)) given.witnesses.push(k);
    else given.errors.push({ field: "witnesses", text: line });
  }
  for (const bytes of texts.pinned || []) {
    const note = splitNote(bytes);
    const checkpoint = note && parseCheckpoint(note.text);
    if (checkpoint) given.pinned.push({ note, checkpoint });
    else given.errors.push({ field: "pinned", text: "" });
  }
  if (given.quorum > given.witnesses.length) given.errors.push({ field: "witnesses", text: "" });
  return given;
}

// verifyBundle verifies the bytes of a zip and returns {report, bundle}; bundle is null where the form is refused.
async function verifyBundle(zip, given) {
  const report = new Report();
  let b = null;
  try {
    b = openBundle(zip);
    report.pass(FORMAT);
    report.compared(FORMAT, b.files.size + " files, " + b.items.length + " entries, " + b.logs.length + " logs", b.files.size + " 个文件," + b.items.length + " 条记录," + b.logs.length + " 个日志", "");
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    report.find(FORMAT, e.code, { path: e.path });
  }
  if (b) {
    await checkSignatures(b, given, report);
    await checkWitnesses(b, given, report);
    await checkPinned(b, given, report);
    await checkEntries(b, report);
    if (!report.failed(ENTRIES)) await checkContents(b, given, report);
  }
  sayLimits(b, report);
  return { report, bundle: b };
}

async function checkContents(b, given, report) {
  checkTrail(b, report);
  if (!report.failed(TRAIL)) await checkComplete(b, given, report);
  await checkOpenings(b, report);
  await checkPolicy(b, report);
  await checkBlobs(b, report);
  await checkStamps(b, report);
}

// unchecked lists the steps that had nothing to work with, the last (which never has) left out.
const unchecked = (report) => report.steps.filter((s) => s.status === "not_checked" && s.number !== LIMITS);
