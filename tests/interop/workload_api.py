"""The `spiffe` package, asking the Workload API at SPIFFE_ENDPOINT_SOCKET everything it can ask."""

import json
import queue
import sys

from spiffe import JwtSvid, SpiffeId, WorkloadApiClient
from spiffe.workloadapi.errors import WorkloadApiError

audience = sys.argv[1]


def refusal(call):
    try:
        call()
    except WorkloadApiError as error:
        return str(error)
    return None


with WorkloadApiClient(default_timeout=20) as client:
    tokens = client.fetch_jwt_svids({audience})
    chosen = client.fetch_jwt_svid({audience}, subject=SpiffeId(sys.argv[2]))
    domain = chosen.spiffe_id.trust_domain
    bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(domain)
    x509 = client.fetch_x509_svid()
    authorities = client.fetch_x509_bundles().get_bundle_for_trust_domain(domain)
    updates = queue.Queue()
    watch = client.stream_x509_contexts(updates.put, updates.put)
    update = updates.get(timeout=20)
    watch.cancel()
    print(
        json.dumps(
            {
                "jwt": [str(svid.spiffe_id) for svid in tokens],
                "chosen": str(chosen.spiffe_id),
                "token": chosen.token,
                # Its own check of the signature, with the keys of the bundle.
                "verified": str(
                    JwtSvid.parse_and_validate(chosen.token, bundle, {audience}).spiffe_id
                ),
                "validated": str(
                    client.validate_jwt_svid(chosen.token, audience).spiffe_id
                ),
                "x509": str(x509.spiffe_id),
                "authorities": len(authorities.x509_authorities),
                "watched": str(update.default_svid.spiffe_id),
                "stranger": refusal(
                    lambda: client.fetch_jwt_svid(
                        {audience}, subject=SpiffeId("spiffe://example.org/stranger")
                    )
                ),
                "elsewhere": refusal(
                    lambda: client.validate_jwt_svid(chosen.token, "elsewhere")
                ),
            }
        )
    )
