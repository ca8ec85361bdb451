"""Clients of Amazon's services, and of stores that speak their protocols, through boto3."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connectors.connector import Failed, Found, Page

_TIMEOUT_SECONDS = 10
_WRONG_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "InvalidToken")
_REFUSED = ("403", "AccessDenied", "AllAccessDisabled")


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def client(service: str, keys: Keys, *, region: str, endpoint: str = "", path_style: bool = False) -> Any:
    """Returns a client that uses this access key and nothing of the machine's configuration."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        service,
        region_name=region,
        endpoint_url=endpoint or None,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=Config(
            connect_timeout=_TIMEOUT_SECONDS,
            read_timeout=_TIMEOUT_SECONDS,
            retries={"total_max_attempts": 2},
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path" if path_style else "virtual"},
        ),
    )


def ask(client: Any, operation: str, **arguments: Any) -> Any:
    """Calls an operation.

    Raises:
        Failed: it was refused, or the service can't be asked.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, operation)(**arguments)
    except ClientError as error:
        raise _explained(error, client.meta.service_model.service_id, arguments.get("Bucket", "")) from error
    except BotoCoreError as error:
        raise Failed("STORE_FAILED", f"The store could not be asked: {error}") from error


def objects_below(answer: Any, prefix: str, below: tuple[str, ...]) -> Page:
    """Returns the folders and objects in an answer to `list_objects_v2`, in the order of their keys."""
    folders = [Found((*below, one["Prefix"][len(prefix) : -1]), "folder") for one in answer.get("CommonPrefixes", ())]
    objects = [
        Found((*below, one["Key"][len(prefix) :]), "object", size=one["Size"], version=one["ETag"].strip('"'))
        for one in answer.get("Contents", ())
        if one["Key"] != prefix
    ]
    return Page(sorted([*folders, *objects], key=lambda one: one.path), answer.get("NextContinuationToken", ""))


def _explained(error: Any, service: str, bucket: str) -> Failed:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _WRONG_KEYS:
        return Failed("WRONG_CREDENTIAL", f"{service} refused the access key ({code}). Store the right one.")
    if code in _REFUSED:
        action = error.operation_name
        return Failed("NOT_ALLOWED", f"{service} does not allow {action} here. Allow it in the policies of the key.")
    if code in ("404", "NoSuchBucket"):
        return Failed("UNKNOWN_BUCKET", f"There is no bucket {bucket} at this store and region.")
    if code in ("301", "PermanentRedirect", "AuthorizationHeaderMalformed"):
        return Failed("WRONG_REGION", f"The bucket {bucket} is in another region.")
    return Failed("STORE_FAILED", f"{service} answered with the error {code or 'without a code'}.")
