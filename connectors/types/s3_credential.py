"""The credential of an S3 store, and the temporary keys that its token service (STS) makes of it."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from connectors import aws
from connectors.connector import (
    Capability,
    Category,
    Config,
    Connector,
    Detail,
    Failed,
    Link,
    Listing,
    OptionalSecret,
    Page,
    Step,
)
from connectors.dialing import dial

SHORTEST_SECONDS = 900
"""The shortest life of temporary keys. STS makes none that end earlier."""

_Endpoint = Annotated[str, Field(max_length=500, pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+/?)?$")]


class S3CredentialConfig(Config):
    """An access key of an S3 store, and the role that its temporary keys have."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    """Region of the buckets."""

    endpoint: _Endpoint = ""
    """Address of a store other than Amazon's, such as `https://minio.example.org`."""

    path_style: bool = False
    """Whether the bucket is a part of the path. Most stores other than Amazon's need it."""

    sts_endpoint: _Endpoint = ""
    """Address of the token service. By default that of the store."""

    role_arn: Annotated[str, Field(max_length=600, pattern=r"^(arn:[a-z-]+:iam::[0-9]*:role/[\w+=,.@/-]+)?$")] = ""
    """The role that temporary keys have. Without one, the store can only make URLs of single objects."""

    external_id: Annotated[str, Field(max_length=1224, pattern=r"^([\w+=,.@:/-]{2,})?$")] = ""
    """What the trust policy of the role asks for as `sts:ExternalId`."""

    access_key_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Id of the access key."""

    secret_access_key: OptionalSecret = None
    """Secret of the access key. Without it, the credential opens nothing yet."""

    @property
    def keys(self) -> aws.Keys:
        """The access key. It never leaves the process of the connector.

        Raises:
            Failed: its secret is missing.
        """
        if self.secret_access_key is None:
            raise Failed("NO_SECRET", "The credential has no secret_access_key. Refer to a secret.")
        return aws.Keys(self.access_key_id, self.secret_access_key.get_secret_value())

    @property
    def partition(self) -> str:
        """The partition that names of resources begin with, such as `aws` or `aws-cn`."""
        return self.role_arn.split(":")[1] if self.role_arn else "aws"


class S3Credential(Connector):
    """The credential of an S3 store."""

    name: ClassVar = "s3-credential"
    title: ClassVar = "S3 credential"
    description: ClassVar = "An access key of an S3 store, and the role that its temporary keys have."
    category: ClassVar = Category.OBJECT_STORE
    config: ClassVar = S3CredentialConfig
    capabilities: ClassVar = frozenset({Capability.TEST})
    verified: ClassVar = "moto 5 (S3, STS)"
    steps: ClassVar = (
        Step("resolve", "Resolve the name of the host"),
        Step("connect", "Connect to the port"),
        Step("log_in", "Log in with the access key", 15.0),
        Step("assume", "Get temporary keys of the role", 15.0),
    )

    @classmethod
    def target(cls, config: S3CredentialConfig) -> tuple[str, int]:
        """Returns host and port of the token service, or of the store if there is no role."""
        endpoint = (config.sts_endpoint or config.endpoint) if config.role_arn else config.endpoint
        if not endpoint:
            return f"{'sts' if config.role_arn else 's3'}.{config.region}.amazonaws.com", 443
        parts = urlsplit(endpoint)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @classmethod
    def steps_of(cls, config: S3CredentialConfig) -> tuple[Step, ...]:
        """Returns the steps of the test: without a role, there are no temporary keys."""
        return cls.steps if config.role_arn else cls.steps[:-1]

    def run(self, step: str, link: Link) -> Detail:
        """Runs a step of the test."""
        config: S3CredentialConfig = link.config
        if step in ("resolve", "connect"):
            return dial(step, link, *self.target(config))
        if step == "assume":
            nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
            temporary_keys(config, [nothing], SHORTEST_SECONDS, "headwater-validation")
            return f"The role {config.role_arn} gives temporary keys."
        if config.role_arn:
            return f"Logged in as {aws.ask(_token_service(config), 'get_caller_identity')['Arn']}."
        store = aws.client(
            "s3", config.keys, region=config.region, endpoint=config.endpoint, path_style=config.path_style
        )
        try:
            aws.ask(store, "list_buckets", MaxBuckets=1)
        except Failed as error:
            if error.reason != "NOT_ALLOWED":
                raise
            return "The store knows the access key, which may not list buckets."
        return "The store knows the access key."

    def discover(self, link: Link, listing: Listing) -> Page:
        """Refuses: locations list what is below them."""
        raise Failed("NOT_LISTED", "A credential has nothing to list. Browse an external location.")


def temporary_keys(config: S3CredentialConfig, statements: list[Any], seconds: int, session: str) -> dict[str, Any]:
    """Returns temporary keys that allow what both the role and the statements allow, as STS answers.

    Raises:
        Failed: there is no role, or STS refused.
    """
    if not config.role_arn:
        raise Failed(
            "NO_TOKEN_SERVICE",
            "The credential names no role, so the store can make no temporary keys, and the access key itself is never "
            "given away. Set role_arn, or ask for the URL of an object.",
        )
    further = {"ExternalId": config.external_id} if config.external_id else {}
    answer = aws.ask(
        _token_service(config),
        "assume_role",
        RoleArn=config.role_arn,
        RoleSessionName=session,
        DurationSeconds=seconds,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":")),
        **further,
    )
    credentials: dict[str, Any] = answer["Credentials"]
    return credentials


def _token_service(config: S3CredentialConfig) -> Any:
    return aws.client("sts", config.keys, region=config.region, endpoint=config.sts_endpoint or config.endpoint)
