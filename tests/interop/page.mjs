// Steers Chromium over its debugging port: node page.js SANDBOX ATTACKER SCREENSHOT
// Prints what it saw as JSON.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [sandbox, attacker, screenshot] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const chromium = spawn(process.env.CHROMIUM, [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--window-size=1100,1400", `--user-data-dir=${profile}`, "--remote-debugging-port=0",
  // Another web site, on this machine.
  "--host-resolver-rules=MAP evil.test 127.0.0.1", "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });
const limit = setTimeout(() => { chromium.kill("SIGKILL"); process.exit(1); }, 100_000);

const address = await new Promise((resolve) => {
  let text = "";
  chromium.stderr.on("data", (data) => {
    text += data;
    const found = text.match(/DevTools listening on ws:\/\/([^/]+)\//);
    if (found) resolve(found[1]);
  });
});
const targets = await (await fetch(`http://${address}/json`)).json();
const socket = new WebSocket(targets.find((it) => it.type === "page").webSocketDebuggerUrl);
await new Promise((resolve) => socket.addEventListener("open", resolve));
const waiting = new Map();
let number = 0;
socket.addEventListener("message", ({ data }) => {
  const answer = JSON.parse(data);
  waiting.get(answer.id)?.(answer.result);
  waiting.delete(answer.id);
});
const call = (method, params = {}) => new Promise((resolve) => {
  waiting.set(++number, resolve);
  socket.send(JSON.stringify({ id: number, method, params }));
});
const evaluate = async (expression) =>
  (await call("Runtime.evaluate", { expression, awaitPromise: true }))?.result?.value;
const until = async (expression) => {
  for (let round = 0; round < 300; round++) {
    if (await evaluate(expression)) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
};

const seen = {};
await call("Page.navigate", { url: sandbox });
seen.title = (await until("!!document.querySelector('#faults')")) && (await evaluate("document.title"));
await evaluate("document.getElementById('fulcio-error').click()");
seen.switched_on = await until("document.getElementById('fulcio-error')?.value === 'false'");
// A fault that another program switches is shown without a reload.
await evaluate("document.activeElement?.blur()");
await fetch(new URL("sandbox/faults/slow-log", sandbox), { method: "PUT" });
seen.follows = await until("document.getElementById('slow-log')?.value === 'false'");
await fetch(new URL("sandbox/faults/slow-log", sandbox), { method: "DELETE" });
seen.styled = await evaluate("getComputedStyle(document.querySelector('.on')).fontWeight === '600'");
await until("document.getElementById('slow-log')?.value === 'true'");
await evaluate("scrollTo(0, 0)");
const image = await call("Page.captureScreenshot", { format: "png" });
writeFileSync(screenshot, Buffer.from(image.data, "base64"));

await call("Page.navigate", { url: attacker });
seen.attacked = await until("document.title === 'attacked'");
// The attacker's page sends a form as well, which leaves it.
await until("location.href.startsWith('http://localhost')");
seen.refused = await evaluate("document.body.innerText");
await call("Page.navigate", { url: sandbox.replace("localhost", "evil.test") });
await until("location.hostname === 'evil.test' && document.body?.innerText");
seen.rebound = await evaluate("document.body.innerText");

console.log(JSON.stringify(seen));
clearTimeout(limit);
const ended = new Promise((resolve) => chromium.once("exit", resolve));
await call("Browser.close");
await ended;
socket.close();
rmSync(profile, { recursive: true, force: true });
