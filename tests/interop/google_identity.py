"""Google's own client of its metadata service, asked for identity tokens in every way it has."""

import json
import sys

import google.auth
from google.auth import compute_engine
from google.auth.compute_engine import _metadata
from google.auth.transport.requests import Request
from google.oauth2 import id_token

audience = sys.argv[1]
request = Request()
direct = compute_engine.IDTokenCredentials(
    request, audience, use_metadata_identity_endpoint=True
)
direct.refresh(request)
default, project = google.auth.default()
default.refresh(request)
print(
    json.dumps(
        {
            "on_gce": _metadata.ping(request),
            "direct": direct.token,
            "fetched": id_token.fetch_id_token(request, audience),
            "account": default.service_account_email,
            "project": project,
            "access": bool(default.token) and default.valid,
        }
    )
)
