"""sigstore-python as a driver: reads one JSON document from stdin, writes one to stdout.

In: {"root": FILE, "identity": TEXT, "issuer": TEXT, "cases": [{"bundle": FILE, "artifact": FILE}]},
where the root is a client trust config. Out: a list, a text each: empty when the bundle verifies,
else why it does not. Starting the interpreter takes longer than all of the verifying.
"""

import json
import sys
from pathlib import Path

from sigstore import dsse
from sigstore.hashes import Hashed
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm

import hashlib


def judge(verifier, policy, bundle, artifact):
    bundle = Bundle.from_json(Path(bundle).read_bytes().decode())
    digest = hashlib.sha256(Path(artifact).read_bytes()).digest()
    hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest)
    # What its own program does.
    if bundle._dsse_envelope:
        kind, payload = verifier.verify_dsse(bundle=bundle, policy=policy)
        if kind != dsse.Envelope._TYPE:
            raise ValueError(f"payload type {kind}")
        if not dsse.Statement(payload)._matches_digest(hashed):
            raise ValueError("no subject has the digest")
    else:
        verifier.verify_artifact(input_=hashed, bundle=bundle, policy=policy)


def main():
    request = json.load(sys.stdin)
    config = ClientTrustConfig.from_json(Path(request["root"]).read_text())
    verifier = Verifier(trusted_root=config.trusted_root)
    policy = Identity(identity=request["identity"], issuer=request["issuer"])
    verdicts = []
    for case in request["cases"]:
        try:
            judge(verifier, policy, case["bundle"], case["artifact"])
            verdicts.append("")
        except Exception as refusal:  # Whatever it is, it is no yes.
            verdicts.append(f"{type(refusal).__name__}: {refusal}")
    json.dump(verdicts, sys.stdout)


main()
