// Timeline: the entries as people read them, with the state of everything that is not shown.

function who(bundle, entry) {
  const actor = entry.body.get("actor");
  const name = bundle.list("actors").find((a) => a.alias === actor.get("id"));
  const roles = (actor.get("roles") || []).map((r) => label("role", r)).join(", ");
  return [el("code", {}, actor.get("id")), name ? t(" (" + name.name + ", says the service)", "(系统称:" + name.name + ")") : "", roles ? " · " + roles : ""];
}

const STATES = {
  disclosed: ["◉ shown", "◉ 已提供"],
  withheld: ["▧ withheld", "▧ 未提供"],
  erased: ["⊘ erased, with the proof of its approval", "⊘ 已删除(附批准证明)"],
  missing: ["✗ missing: a violation", "✗ 缺失:违规"],
};
const badge = (state, more) => el("span", { class: "badge " + state }, t(...STATES[state]) + (more ? t(": ", ":") + more : ""));

function openingRow(o) {
  const more = o.state === "withheld" ? label("reason", o.reason) : o.state === "erased" ? t("entry " + o.proof.get("index"), "第 " + o.proof.get("index") + " 条") : "";
  return [el("code", {}, o.path), el("span", {}, o.state === "disclosed" ? el("span", { class: "value" }, o.value) : "", badge(o.state, more))];
}

const factsOf = (e) => e.body.get("facts") || new Map();
const shownFact = (v) => (Array.isArray(v) ? v.join(", ") : v === true ? t("yes", "是") : v === false ? t("no", "否") : String(v));

function entryCard(bundle, i) {
  const head = (...more) => el("p", {}, el("span", { class: "quiet" }, "#" + i.index + (bundle.logs.length > 1 ? " " + bundle.logs[i.log].year : "")), " ", more);
  if (!i.entry) {
    const reason = i.state === "withheld" ? label("reason", i.reason) : "";
    return el("li", { class: i.state }, head(badge(i.state, reason)), el("p", { class: "quiet" }, t("leaf ", "叶哈希 "), brief(i.leaf)));
  }
  const e = i.entry;
  const decision = Object.fromEntries(e.body.get("decision") || []);
  const denied = decision.result === "deny";
  const opens = OPENS.includes(e.body.get("kind")) && !denied && e.body.get("stage") !== "outcome";
  const rule = [decision.rule, decision.article].filter(Boolean).join(" · ");
  const openings = bundle.list("openings").filter((o) => o.log === i.log && o.index === i.index);
  const facts = [...factsOf(e)].map(([name, v]) => [el("code", {}, name), shownFact(v)]);
  return el(
    "li",
    { class: denied ? "denied" : "" },
    head(when(e.body.get("at")), " ", el("span", { class: "kind" }, label("kind", e.body.get("kind"))), el("span", { class: "badge" }, t(...STAGES[e.body.get("stage")])), opens ? el("span", { class: "badge opens" }, t("◆ opens content", "◆ 开启内容")) : "", denied ? el("span", { class: "badge denied" }, t("✗ refused", "✗ 拒绝")) : ""),
    pairs([
      [t("who", "何人"), el("span", {}, who(bundle, e))],
      [t("purpose", "目的"), e.body.has("purpose") && label("purpose", e.body.get("purpose"))],
      [t("rule", "规则"), rule],
      [t("reason", "理由"), decision.reason && label("reason", decision.reason)],
      [t("outcome", "结果"), e.body.get("stage") === "outcome" && label("outcome", factsOf(e).get("outcome") || "")],
      [t("fields", "字段"), e.body.has("fields") && e.body.get("fields").join(", ")],
    ]),
    openings.length ? pairs(openings.map(openingRow)) : null,
    el("details", { class: "more" }, el("summary", {}, t("facts, hashes, the entry itself", "事实、哈希与记录原文")), facts.length ? pairs(facts) : null, pairs([[t("leaf hash", "叶哈希"), brief(i.leaf)], [t("number in its trail", "轨迹序号"), String(e.n)], [t("sequenced", "定序时间"), e.seqAt], [t("policy bundle", "策略包"), decision.bundle && brief(decision.bundle)]]), el("p", {}, el("code", {}, new TextDecoder().decode(e.bytes))))
  );
}

function timeline(bundle) {
  const shown = bundle.items.filter((i) => ["trail", "hit", "outcome"].includes(i.part));
  const rest = bundle.items.filter((i) => !shown.includes(i));
  const list = (items) => el("ol", { class: "time" }, items.map((i) => entryCard(bundle, i)));
  return [
    el("h3", {}, t("Entries", "记录"), " (" + shown.length + ")"),
    shown.length ? list(shown) : el("p", {}, t("none", "无")),
    rest.length ? el("details", { class: "more" }, el("summary", {}, t(rest.length + " entries that support the proofs", "佐证用记录 " + rest.length + " 条")), list(rest)) : null,
  ];
}
