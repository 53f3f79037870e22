// Report: twelve steps, each ok, failed or not checked, with findings that have a stable code. Numbers and names are those of
// docs/formats/evidence-bundle.md, and the same in trailcheck.

const STEP_NAMES = [
  ["format", "the file is of the format", "文件格式符合规定"],
  ["checkpoint_signature", "checkpoints signed by the key that you gave", "检查点由您提供的公钥签名"],
  ["witnesses", "witness cosignatures", "见证方联署"],
  ["pinned_checkpoint", "consistent with the checkpoint that you kept", "与您先前保存的检查点一致"],
  ["entries", "every entry hashed again and found in the signed tree", "逐条重新计算哈希,并确认包含于签名的默克尔树"],
  ["trail", "the trail without gap", "处理轨迹连续无缺"],
  ["complete", "these entries and no others", "仅有这些记录,别无其他"],
  ["openings", "opened, withheld and erased values", "已开启、未提供与已删除的内容"],
  ["policy", "the policy bundle named was the active one", "所引策略包为当时生效者"],
  ["blobs", "files named by entries", "记录所引用的文件"],
  ["stamps", "time stamps", "时间戳"],
  ["limits", "what was not checked", "未检查的事项"],
];
const [FORMAT, SIGNATURE, WITNESSES, PINNED, ENTRIES, TRAIL, COMPLETE, OPENINGS, POLICY, BLOBS, STAMPS, LIMITS] = STEP_NAMES.map((_, i) => i + 1);

class Report {
  constructor() {
    this.steps = STEP_NAMES.map(([name, en, zh], i) => ({ number: i + 1, name, status: "not_checked", text: { en, zh }, notes: [], compared: [], findings: [], more: 0 }));
    this.result = [];
    this.ok = true;
  }

  // find records a finding, which fails its step. what: {path, log, index, want, got}.
  find(number, code, what = {}) {
    const step = this.steps[number - 1];
    step.status = "failed";
    this.ok = false;
    if (step.findings.length === 20) step.more++;
    else step.findings.push({ code, text: CODE_TEXTS[code] || { en: code, zh: code }, ...what });
  }

  // pass marks a step as passed unless it failed.
  pass(number) {
    const step = this.steps[number - 1];
    if (step.status !== "failed") step.status = "ok";
  }

  failed(number) {
    return this.steps[number - 1].status === "failed";
  }

  // note says in both languages what the status alone does not.
  note(number, en, zh) {
    this.steps[number - 1].notes.push({ en, zh });
  }

  // compared shows which two values were compared and found equal.
  compared(number, en, zh, value) {
    this.steps[number - 1].compared.push({ en, zh, value });
  }

  // first returns the first finding of the lowest failed step, or null.
  first() {
    const step = this.steps.find((s) => s.findings.length > 0);
    return step ? { step: step.number, name: step.name, code: step.findings[0].code } : null;
  }
}
