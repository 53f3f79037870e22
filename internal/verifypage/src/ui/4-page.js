// Page: what the reader chooses, and one article for each bundle.

const byId = (id) => document.getElementById(id);
const READ_LIMIT = 64 * 1024 * 1024; // bytes of a bundle, by the format

function scopeOf(bundle) {
  const rows = [[t("institution", "机构"), bundle.ev.get("institution")], [t("made at, says its maker", "制作时间(制作方自称)"), bundle.ev.get("made_at")]];
  if (bundle.ev.has("subject")) rows.push([t("trail of", "轨迹对象"), bundle.ev.get("subject")]);
  else rows.push([t("query", "检索"), bundle.ev.get("query").get("text")]);
  for (const l of bundle.logs) rows.push([t("log", "日志"), l.origin + " · " + t("size ", "规模 ") + l.size]);
  return pairs(rows);
}

function article(r) {
  if (r.error) return el("div", { class: "verdict failed" }, t("✗ This file could not be read", "✗ 无法读取此文件"), el("p", {}, r.error));
  const { report, bundle } = r;
  const parts = report.failed(5) || !bundle ? [] : timeline(bundle);
  return [
    verdict(report),
    bundle ? scopeOf(bundle) : null,
    conclusion(bundle, report),
    notChecked(report),
    el("h3", {}, t("Step by step", "逐步核验")),
    el("ol", { class: "steps" }, report.steps.map((s) => step(s, bundle))),
    parts,
  ].flat();
}

function show() {
  document.documentElement.lang = ui.lang === "zh" ? "zh-CN" : "en";
  byId("lang").textContent = t("中文", "English");
  byId("lang").lang = t("zh", "en");
  for (const e of document.querySelectorAll("[data-zh]")) {
    if (e.dataset.en === undefined) e.dataset.en = e.textContent;
    e.textContent = t(e.dataset.en, e.dataset.zh);
  }
  const many = ui.results.length > 1;
  byId("results").replaceChildren(
    ...ui.results.map((r) => {
      const id = r.bundle && r.bundle.ev.get("subject");
      const state = r.error ? "failed" : verdictOf(r.report);
      const first = r.report && r.report.first();
      const about = { "aria-label": r.name, "data-verdict": state, "data-step": first ? String(first.step) : "", "data-code": first ? first.code : "" };
      if (!many) return el("article", about, el("h2", {}, r.name), article(r));
      const one = el("details", { class: "one" }, el("summary", {}, marked(state), " " + r.name, id ? " · " + id : "", first ? " · " + first.code : ""));
      one.addEventListener("toggle", () => one.open && one.childElementCount === 1 && one.append(...[article(r)].flat().filter(Boolean)), { passive: true });
      return el("article", about, one);
    })
  );
  byId("busy").textContent = summary(ui.results);
  const used = Sealtrail.engine.used;
  const ours = used.own ? t(", by this page's own code " + used.own, ",由本页自带代码核验 " + used.own + " 次") : "";
  byId("engine").textContent = used.own + used.webcrypto ? t("Signatures verified by the browser's WebCrypto " + used.webcrypto + ours, "由浏览器 WebCrypto 核验签名 " + used.webcrypto + " 次" + ours) : "";
}

// summary counts the verdicts: what a screen reader hears when a run is over.
function summary(results) {
  if (results.length === 0) return "";
  const count = (state) => results.filter((r) => (r.error ? "failed" : verdictOf(r.report)) === state).length;
  const [good, open, bad] = ["ok", "not_checked", "failed"].map(count);
  const mind = ui.unusable ? t(" Mind: some of what you brought cannot be used, see above.", "注意:您提供的部分内容无法使用,见上。") : "";
  return t(results.length + " verified: " + good + " ✓, " + open + " without a key –, " + bad + " ✗.", "已核验 " + results.length + " 个:✓ " + good + ",– 无公钥 " + open + ",✗ " + bad + "。") + mind;
}

// given reads what the reader brings and shows what of it cannot be used.
async function given() {
  const pinned = byId("pinned").value;
  const texts = { keys: byId("keys").value, witnesses: byId("witnesses").value, quorum: Number(byId("quorum").value) || 0, pinned: [...(ui.pinfiles || [])] };
  if (pinned.trim()) texts.pinned.push(new TextEncoder().encode(pinned.replace(/\r\n/g, "\n").replace(/\n*$/, "\n")));
  const g = await Sealtrail.readGiven(texts);
  const words = { keys: t("not a log's verifier key", "不是日志公钥"), witnesses: t("not a witness's verifier key, or fewer keys than must have cosigned", "不是见证方公钥,或公钥数少于须联署的数目"), pinned: t("not a signed checkpoint", "不是已签名的检查点") };
  for (const field of Object.keys(words)) {
    const bad = g.errors.find((e) => e.field === field);
    byId("e-" + field).textContent = bad ? words[field] + (bad.text ? ": " + bad.text : "") : "";
    byId(field).setAttribute("aria-invalid", bad ? "true" : "false");
  }
  return g;
}

// verifyAll runs over all chosen bundles again. A later run replaces one that is still going on.
async function verifyAll() {
  const run = (ui.run = (ui.run || 0) + 1);
  const g = await given();
  const results = [];
  for (const file of ui.bundles) {
    if (run !== ui.run) return;
    byId("busy").textContent = t("verifying ", "正在核验 ") + (results.length + 1) + "/" + ui.bundles.length;
    results.push(await verifyOne(file, g));
  }
  if (run !== ui.run) return;
  ui.results = results;
  ui.unusable = g.errors.length > 0;
  show();
}

async function verifyOne(file, g) {
  if (file.size > READ_LIMIT) return { name: file.name, error: t("larger than 64 MB", "超过 64 MB") };
  try {
    return { name: file.name, ...(await Sealtrail.verifyBundle(new Uint8Array(await file.arrayBuffer()), g)) };
  } catch (e) {
    return { name: file.name, error: String(e) };
  }
}

function choose(files) {
  ui.bundles = [...files];
  return verifyAll();
}

function listen() {
  byId("bundle").addEventListener("change", (e) => choose(e.target.files));
  for (const id of ["keys", "witnesses", "quorum", "pinned"]) byId(id).addEventListener("change", verifyAll);
  byId("keyfile").addEventListener("change", async (e) => {
    byId("keys").value = await e.target.files[0].text();
    verifyAll();
  });
  byId("pinfile").addEventListener("change", async (e) => {
    ui.pinfiles = await Promise.all([...e.target.files].map(async (f) => new Uint8Array(await f.arrayBuffer())));
    verifyAll();
  });
  byId("lang").addEventListener("click", () => {
    ui.lang = t("zh", "en");
    given();
    show();
  });
  const drop = byId("drop");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (e) => {
      e.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && e.dataTransfer.files.length) choose(e.dataTransfer.files);
    });
  }
  // Paper shows everything: what is folded is unfolded for it.
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => d.open || ((d.dataset.shut = "1"), (d.open = true))));
  window.addEventListener("afterprint", () => document.querySelectorAll("details[data-shut]").forEach((d) => ((d.open = false), delete d.dataset.shut)));
}

listen();
show();
