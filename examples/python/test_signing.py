"""Signs and verifies with sigstore-python, against a Sigstore that lives as long as each test."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from sigstore.errors import VerificationError
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

PERSON = "someone@example.com"


class Sandbox:
    def __enter__(self):
        self.state = tempfile.TemporaryDirectory()
        ready = Path(self.state.name, "ready.json")
        program = os.environ.get("SIGSTORE_SANDBOX", "sigstore-sandbox")
        self.process = subprocess.Popen(
            [program, "--port", "0", "--state", self.state.name, "--ready-file", ready],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.01)
        self.places = json.loads(ready.read_text())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.state.cleanup()

    def token(self):
        with urllib.request.urlopen(f"{self.places['oidc']}/email/token") as answer:
            return answer.read().decode()

    def fault(self, name):
        url = f"{self.places['page']}sandbox/faults/{name}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()

    def trust(self):
        return ClientTrustConfig.from_json(
            Path(self.places["directory"], "client_trust_config.json").read_text()
        )

    def sign(self, content):
        with SigningContext.from_trust_config(self.trust()).signer(
            IdentityToken(self.token())
        ) as signer:
            return signer.sign_artifact(content)

    def verify(self, content, bundle, person=PERSON):
        policy = Identity(identity=person, issuer=f"{self.places['oidc']}/email")
        Verifier(trusted_root=self.trust().trusted_root).verify_artifact(content, bundle, policy)


class Signing(unittest.TestCase):
    def test_a_release_is_signed_and_verified(self):
        with Sandbox() as sandbox:
            bundle = sandbox.sign(b"the release")
            sandbox.verify(b"the release", bundle)
            with self.assertRaises(VerificationError):
                sandbox.verify(b"another", bundle)
            with self.assertRaises(VerificationError):
                sandbox.verify(b"the release", bundle, "mallory@example.com")

    def test_an_expired_certificate_is_noticed(self):
        with Sandbox() as sandbox:
            sandbox.fault("certificate-expired")
            with self.assertRaises(Exception):
                sandbox.verify(b"the release", sandbox.sign(b"the release"))


if __name__ == "__main__":
    unittest.main()
