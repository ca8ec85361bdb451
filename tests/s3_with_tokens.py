"""An S3-compatible store with a token service (STS) that checks every request: signatures, policies, and sessions.

moto checks signatures and the policies of users and roles, but neither session policies nor the condition on prefixes.
`_checking` adds both: a temporary key may do only what its session policy allows too, as at Amazon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import settings
from moto.core.responses import ActionAuthenticatorMixin
from moto.iam.access_control import AssumedRoleAccessKey, IAMPolicyStatement, PermissionResult, S3IAMRequest
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from moto.sts.models import sts_backends

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lake"


@dataclass(frozen=True, slots=True)
class Store:
    """A store with the bucket `lake`."""

    url: str
    access_key_id: str
    secret_access_key: str

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of a storage credential, without its secret."""
        place = {"endpoint": self.url, "path_style": True, "role_arn": ROLE}
        return place | {"access_key_id": self.access_key_id}

    def put(self, key: str, content: bytes) -> None:
        """Stores an object, as the owner of the store."""
        s3_backends[ACCOUNT]["aws"].put_object("lake", key, content)

    def objects(self, prefix: str = "") -> list[str]:
        """Returns the keys of the objects below a prefix."""
        return [key for key in s3_backends[ACCOUNT]["aws"].buckets["lake"].keys if key.startswith(prefix)]

    def client(self, vended: dict[str, Any]) -> Any:
        """Returns an unmodified client with vended keys."""
        keys = vended["keys"]
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            aws_session_token=keys["session_token"],
        )


@contextmanager
def s3_with_tokens() -> Iterator[Store]:
    """Starts a store whose key may only assume a role, and whose role may do everything in the bucket."""
    with pytest.MonkeyPatch.context() as patch, _server() as url:
        patch.setattr(S3IAMRequest, "check_action_permitted", _checking(S3IAMRequest.check_action_permitted))
        patch.setattr(ActionAuthenticatorMixin, "request_count", 0)
        patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
        owner: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "owner",
            "aws_secret_access_key": "owner",
        }
        iam = boto3.client("iam", **owner)
        boto3.client("s3", **owner).create_bucket(Bucket="lake")
        # The servers of a process share their contents, and an earlier one may have left objects.
        s3_backends[ACCOUNT]["aws"].buckets["lake"].keys.clear()
        iam.create_user(UserName="headwater")
        iam.put_user_policy(UserName="headwater", PolicyName="assume", PolicyDocument=_allowing("sts:AssumeRole", ROLE))
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName="lake", AssumeRolePolicyDocument=document)
        iam.put_role_policy(RoleName="lake", PolicyName="all", PolicyDocument=_allowing("s3:*", "*"))
        key = iam.create_access_key(UserName="headwater")["AccessKey"]
        patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        try:
            yield Store(url, key["AccessKeyId"], key["SecretAccessKey"])
        finally:
            # Only this, because other servers of the process may still be in use.
            for backend in (iam_backends, sts_backends):
                backend[ACCOUNT]["aws"].reset()
            s3_backends[ACCOUNT]["aws"].buckets["lake"].keys.clear()
            s3_backends[ACCOUNT]["aws"].delete_bucket("lake")


@contextmanager
def _server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _allowing(action: str, resource: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    )


def _checking(of_role: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    """Returns the check of a request that also obeys the policy and the end of a session."""

    def check(request: Any, resource: str) -> None:
        of_role(request, resource)
        if not isinstance(request._access_key, AssumedRoleAccessKey):
            return
        sessions = sts_backends[request.account_id]["aws"].assumed_roles
        session = next(one for one in sessions if one.session_token == request._access_key._session_token)
        statements = json.loads(session.policy)["Statement"] if session.policy else []
        prefix = parse_qs(urlsplit(request._path).query).get("prefix", [""])[0]
        ended = session.expiration.replace(tzinfo=UTC) <= datetime.now(UTC)
        if ended or not any(_allows(one, request._action, resource, prefix) for one in statements):
            request._raise_access_denied()

    return check


def _allows(statement: dict[str, Any], action: str, resource: str, prefix: str) -> bool:
    """Returns whether a statement of a session policy allows a request."""
    condition = statement.get("Condition", {}).get("StringLike", {"s3:prefix": ["*"]})
    plain = {name: value for name, value in statement.items() if name != "Condition"}
    permitted = IAMPolicyStatement(plain).is_action_permitted(action, resource) is PermissionResult.PERMITTED
    return permitted and any(fnmatchcase(prefix, pattern) for pattern in condition["s3:prefix"])
