"""The platforms' own clients, asked for a token or password: it, or why there is none, as JSON."""

import json
import sys


def botocore(audience):
    import os

    import botocore.config
    import botocore.session

    once = botocore.config.Config(retries={"total_max_attempts": 1})
    client = botocore.session.Session().create_client(
        # It knows the region by another variable.
        "sts", region_name=os.environ["AWS_REGION"], config=once
    )
    answer = client.get_web_identity_token(
        Audience=[audience], DurationSeconds=300, SigningAlgorithm="RS256"
    )
    return answer["WebIdentityToken"]


def azure_identity(audience):
    from azure.identity import ManagedIdentityCredential

    credential = ManagedIdentityCredential(retry_total=0)
    return credential.get_token(audience + "/.default").token


def google_auth(audience):
    from google.auth import compute_engine
    from google.auth.transport.requests import Request

    request = Request()
    credentials = compute_engine.IDTokenCredentials(
        request, audience, use_metadata_identity_endpoint=True
    )
    credentials.refresh(request)
    return credentials.token


def google_auth_impersonation(audience):
    import os

    from google.auth import compute_engine, iam, impersonated_credentials
    from google.auth.transport.requests import Request

    # It has no variable for the address of this service.
    service = os.environ["CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"].rstrip("/")
    iam._IAM_IDTOKEN_ENDPOINT = (
        service + "/v1/" + iam._IAM_IDTOKEN_ENDPOINT.split("/v1/", 1)[1]
    )
    target = impersonated_credentials.Credentials(
        source_credentials=compute_engine.Credentials(),
        target_principal=os.environ["GOOGLE_SERVICE_ACCOUNT_NAME"],
        target_scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    credentials = impersonated_credentials.IDTokenCredentials(
        target, target_audience=audience, include_email=True
    )
    credentials.refresh(Request())
    return credentials.token


def botocore_ecr(region):
    import base64

    import botocore.config
    import botocore.session

    once = botocore.config.Config(retries={"total_max_attempts": 1})
    client = botocore.session.Session().create_client(
        "ecr", region_name=region, config=once
    )
    answer = client.get_authorization_token()["authorizationData"][0]
    return base64.b64decode(answer["authorizationToken"]).decode().partition(":")[2]


def google_auth_access(_):
    from google.auth import compute_engine
    from google.auth.transport.requests import Request

    credentials = compute_engine.Credentials()
    credentials.refresh(Request())
    return credentials.token


def id(audience):
    from id import detect_credential

    token = detect_credential(audience)
    if token is None:
        raise LookupError("no identity was found")
    return token


client, audience = sys.argv[1:]
try:
    answer = {"token": globals()[client](audience)}
except Exception as error:
    answer = {"refused": f"{type(error).__name__}: {error}"}
print(json.dumps(answer))
