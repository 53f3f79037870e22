// Words: everything that is shown stands here or in the registry, in both languages.

const ui = { lang: /^zh/i.test(navigator.language || "") ? "zh" : "en", bundles: [], results: [] };
const t = (en, zh) => (ui.lang === "zh" ? zh : en);
const say = (text) => t(text.en, text.zh);
const MARKS = { ok: ["✓", "ok", "通过"], failed: ["✗", "failed", "未通过"], not_checked: ["–", "not checked", "未检查"] };
const STAGES = { intent: ["intent", "意图"], outcome: ["outcome", "结果"], event: ["event", "事件"] };
const PARTS = { trail: ["trail", "轨迹"], hit: ["hit", "命中"], outcome: ["outcome", "结果"], policy: ["policy", "策略"], heads: ["ends of trails", "轨迹汇总"], support: ["support", "佐证"] };

// label looks a word of the registry up; what it does not know is shown as it is.
function label(set, id) {
  const words = LABELS[set] && LABELS[set][id];
  return words ? t(words[0], words[1]) : id;
}

// el makes an element. Whatever comes from a bundle goes in as text: there is no other way in this page.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== undefined && value !== "") e.setAttribute(name, value);
  for (const c of children.flat(Infinity)) if (c !== null && c !== undefined && c !== "") e.append(c);
  return e;
}

function marked(status) {
  const [sign, en, zh] = MARKS[status];
  return el("span", { class: "mark " + status }, sign + " " + t(en, zh));
}

function pairs(list) {
  const rows = list.filter(([, value]) => value !== undefined && value !== "" && value !== null && value !== false);
  return rows.length ? el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])) : null;
}

// when shows a time as Shanghai reads it, with offset; UTC as it stands in the entry is beside it.
function when(utc) {
  const shown = new Date(Date.parse(utc) + 8 * 3600000).toISOString().replace("T", " ").slice(0, 19);
  return el("time", { datetime: utc, title: utc }, shown + " +08:00");
}

const brief = (hash) => el("span", { class: "hash" }, hash);
