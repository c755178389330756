// Signs and verifies with @sigstore/sign, against a Sigstore that lives as long as each test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { TrustedRoot } from "@sigstore/protobuf-specs";
import { FulcioSigner, MessageSignatureBundleBuilder, RekorWitness, TSAWitness } from "@sigstore/sign";
import { toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";

const JOB = "https://github.com/octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main";

async function withSandbox(body) {
  const state = await mkdtemp(join(tmpdir(), "sandbox-"));
  const ready = join(state, "ready.json");
  const program = process.env.SIGSTORE_SANDBOX ?? "sigstore-sandbox";
  const child = spawn(program, ["--port", "0", "--state", state, "--ready-file", ready], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(child, "exit");
  try {
    let places;
    for (let round = 0; !places; round++) {
      assert.ok(round < 3000 && child.exitCode === null, "the sandbox did not start");
      places = await readFile(ready, "utf8").then(JSON.parse, () => pause(10));
    }
    await body(places);
  } finally {
    child.kill("SIGINT");
    await ended;
    await rm(state, { recursive: true });
  }
}

function sign(places, data) {
  const identityProvider = {
    getToken: async () => (await fetch(`${places.oidc}/github/token`)).text(),
  };
  const builder = new MessageSignatureBundleBuilder({
    signer: new FulcioSigner({ fulcioBaseURL: places.fulcio, identityProvider }),
    witnesses: [
      new RekorWitness({ rekorBaseURL: places.rekor_v1 }),
      new TSAWitness({ tsaBaseURL: places.tsa }),
    ],
  });
  return builder.create({ data });
}

async function verify(places, bundle, data, subjectAlternativeName = JOB) {
  const file = join(places.directory, "trusted_root.json");
  const root = TrustedRoot.fromJSON(JSON.parse(await readFile(file, "utf8")));
  const verifier = new Verifier(toTrustMaterial(root));
  const extensions = { issuer: `${places.oidc}/github` };
  verifier.verify(toSignedEntity(bundle, data), { subjectAlternativeName, extensions });
}

const release = Buffer.from("the release");

test("a release is signed and verified", () =>
  withSandbox(async (places) => {
    const bundle = await sign(places, release);
    await verify(places, bundle, release);
    await assert.rejects(verify(places, bundle, Buffer.from("another")));
    await assert.rejects(verify(places, bundle, release, "https://github.com/mallory"));
  }));

test("a log that fails is an error", () =>
  withSandbox(async (places) => {
    await fetch(`${places.page}sandbox/faults/rekor-error`, { method: "PUT" });
    await assert.rejects(sign(places, release));
  }));
