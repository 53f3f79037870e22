// The page's core in Node: node node.mjs verify.html jobs.json [own]
//
// jobs.json is {"bundles":[{"file","keys","witnesses","quorum","pinned":[base64],"opens":[...]}],"signatures":[{"key","message","signature"} hex]}.
// Prints one line of JSON per bundle ({"ok","step","code","steps"}) and per signature (true or false). With "own" neither hashes nor
// signatures are WebCrypto's.
import fs from "node:fs";
import vm from "node:vm";

const [html, jobs, own] = process.argv.slice(2);
const core = /<script id="core">([\s\S]*?)<\/script>/.exec(fs.readFileSync(html, "utf8"))[1];
const Sealtrail = vm.runInThisContext(core + "\nSealtrail");
if (own) Sealtrail.engine.subtle = null;
const { bundles = [], signatures = [] } = JSON.parse(fs.readFileSync(jobs, "utf8"));
const bytes = (b64) => new Uint8Array(Buffer.from(b64, "base64"));
for (const job of bundles) {
  const given = await Sealtrail.readGiven({ ...job, pinned: (job.pinned || []).map(bytes) });
  const { report } = await Sealtrail.verifyBundle(new Uint8Array(fs.readFileSync(job.file)), given);
  const first = report.first();
  console.log(JSON.stringify({ ok: report.ok, step: first ? first.step : 0, code: first ? first.code : "", steps: report.steps.map((s) => s.status), unusable: given.errors.length }));
}
for (const s of signatures) {
  const [key, message, signature] = [s.key, s.message, s.signature].map(Sealtrail.fromHex);
  console.log(JSON.stringify([await Sealtrail.verifyEd25519(key, message, signature), signature.length === 64 && key.length === 32 && (await Sealtrail.ownEd25519(key, message, signature))]));
}
console.error(JSON.stringify(Sealtrail.engine.used));
