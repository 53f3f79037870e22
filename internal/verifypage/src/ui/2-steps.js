// Steps: the verdict, what was not checked, and the twelve steps.

// verdictOf never says more than was checked: without the reader's key a bundle shows nothing of who made it.
function verdictOf(report) {
  if (!report.ok) return "failed";
  return report.steps[1].status === "ok" ? "ok" : "not_checked";
}

function verdict(report) {
  const first = report.first();
  const state = verdictOf(report);
  const words = {
    ok: [t("✓ Nothing found wrong", "✓ 未发现问题")],
    not_checked: [t("– Nothing found wrong, but signed by whom was not checked", "– 未发现问题,但未核对由谁签名"), el("p", {}, t("You gave no log key. Anybody can make a bundle that looks like this.", "您未提供日志公钥。任何人都能制作外观如此的证据包。"))],
    failed: [t("✗ Integrity finding: do not rely on this bundle", "✗ 发现完整性问题:不可依赖此证据包"), first && el("p", {}, t("First at step ", "首见于第 ") + first.step + t(": ", " 步:") + say(report.steps[first.step - 1].findings[0].text), " ", el("code", {}, first.code))],
  };
  return el("div", { class: "verdict " + state }, words[state]);
}

function notChecked(report) {
  const open = Sealtrail.unchecked(report);
  const skipped = report.ok ? open : open.filter((s) => s.notes.length > 0);
  const rest = report.steps[11].notes;
  return el(
    "div",
    { class: "unchecked" },
    el("h3", {}, t("Not checked", "未检查")),
    el("ul", {}, skipped.map((s) => el("li", {}, el("strong", {}, s.number + " " + say(s.text)), s.notes.map((n) => [el("br"), say(n)]))), report.ok ? null : el("li", {}, t("steps behind the finding that rest on it", "基于所发现问题的后续步骤"))),
    el("details", { class: "more" }, el("summary", {}, t("What no bundle can show (step 12)", "任何证据包都无法证明的事项(第 12 步)")), el("ul", {}, rest.map((n) => el("li", {}, say(n)))))
  );
}

// conclusion says what the bundle shows of the record, in the words of docs/formats/evidence-bundle.md, step 7.
function conclusion(bundle, report) {
  const c = bundle && bundle.complete;
  if (!c || !report.ok) return null;
  const upTo = t("up to size " + c.size + " of " + c.origin, "截至 " + c.origin + " 规模 " + c.size);
  const out = [el("p", { class: "says" }, c.n === 0 ? t("This subject has no entry, ", "此对象没有任何记录,") + upTo + t(".", "。") : t("These " + c.n + " entries and no others, " + upTo + ".", "仅有此 " + c.n + " 条记录,别无其他," + upTo + "。"))];
  out.push(el("p", { class: "says" }, t("Committed at " + c.seqAt + ", by the service's clock; nothing is said of the " + c.behind + " entries that the logs have behind it.", "汇总写于 " + c.seqAt + "(系统时钟);对日志中其后的 " + c.behind + " 条不作说明。")));
  const hidden = c.withheld ? el("p", { class: "says" }, t("Withheld: " + c.withheld + ". What those entries record is not said.", "另有 " + c.withheld + " 条未提供内容,其所记之事不详。")) : null;
  if (c.openers.length === 0) {
    out.push(el("p", { class: "says" }, (c.withheld ? t("No entry shown opens the record.", "所示记录中没有开启此记录者。") : t("Nobody opened this record through this service, " + upTo + ".", "没有人经本系统开启过此记录," + upTo + "。"))), hidden);
    return out;
  }
  out.push(el("p", { class: "says" }, t("Opened through this service, times: " + c.openers.length + ", " + upTo + ":", "经本系统开启 " + c.openers.length + " 次," + upTo + ":")));
  out.push(el("ul", {}, c.openers.map((i) => el("li", {}, when(i.entry.body.get("at")), " · ", who(bundle, i.entry), " · ", label("kind", i.entry.body.get("kind")), i.entry.body.has("purpose") ? " · " + label("purpose", i.entry.body.get("purpose")) : ""))), hidden);
  return out;
}

function finding(f, bundle) {
  const at = f.index === undefined ? "" : t("entry " + f.index, "第 " + f.index + " 条") + (bundle && f.log !== undefined && bundle.logs.length > 1 ? " · " + bundle.logs[f.log].origin : "");
  return el("div", { class: "finding" }, el("p", {}, "✗ ", say(f.text), " ", el("code", {}, f.code)), pairs([[t("where", "位置"), [f.path, at].filter(Boolean).join(" · ")], [t("expected", "应为"), f.want && brief(f.want)], [t("found", "实为"), f.got && brief(f.got)]]));
}

function step(s, bundle) {
  const shown = s.compared.slice(0, 200);
  const rows = shown.map((c) => [say(c), c.value ? brief(c.value) : t("yes", "是")]);
  return el(
    "li",
    {},
    el(
      "details",
      s.status === "failed" ? { open: "open" } : {},
      el("summary", {}, el("span", { class: "num" }, String(s.number)), marked(s.status), el("span", {}, say(s.text))),
      el("div", { class: "inside" }, s.findings.map((f) => finding(f, bundle)), s.more ? el("p", {}, t("and " + s.more + " more", "另有 " + s.more + " 项")) : null, s.notes.length ? el("ul", {}, s.notes.map((n) => el("li", {}, say(n)))) : null, rows.length ? [el("p", { class: "quiet" }, t("compared and equal", "比对一致")), pairs(rows)] : null, s.compared.length > shown.length ? el("p", {}, "…") : null)
    )
  );
}
