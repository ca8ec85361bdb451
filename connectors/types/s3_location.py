"""A bucket of an S3 store, or a folder of it, which temporary keys open path by path."""

from __future__ import annotations

import secrets as random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from connectors import aws
from connectors.connector import Category, Detail, Failed, Link, Listing, Page, Step
from connectors.dialing import dial
from connectors.storage import Access, Location, Vended, Vending, require_object
from connectors.types.s3_credential import SHORTEST_SECONDS, S3CredentialConfig, temporary_keys

PATH = r"[A-Za-z0-9!_.()=+@:,&;~' /-]*"
"""Characters of a path. Those that policies read as wildcards or variables are not among them."""

_READ = ("s3:GetObject",)
_WRITE = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


class S3LocationConfig(S3CredentialConfig):
    """A bucket or a folder of it, and the credential that reaches it."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Name of the bucket."""

    prefix: Annotated[str, Field(max_length=700, pattern=rf"^({PATH}/)?$")] = ""
    """What all keys begin with. Empty for the whole bucket."""

    read_only: bool = False
    """Whether nothing may be written."""


class S3Location(Location):
    """A bucket of an S3 store, or a folder of it."""

    name: ClassVar = "s3-location"
    title: ClassVar = "S3 location"
    description: ClassVar = "A bucket of an S3 store, or a folder of it."
    category: ClassVar = Category.OBJECT_STORE
    config: ClassVar = S3LocationConfig
    verified: ClassVar = "moto 5 (S3, STS)"
    steps: ClassVar = (
        Step("resolve", "Resolve the name of the host"),
        Step("connect", "Connect to the port"),
        Step("vend", "Get temporary keys for the location", 15.0),
        Step("list", "List the first objects", 15.0),
        Step("read", "Read an object", 15.0),
        Step("write", "Write an object", 15.0),
        Step("delete", "Delete the written object", 15.0),
    )

    @classmethod
    def target(cls, config: S3LocationConfig) -> tuple[str, int]:
        """Returns host and port of the store."""
        if not config.endpoint:
            return f"{config.bucket}.s3.{config.region}.amazonaws.com", 443
        parts = urlsplit(config.endpoint)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @classmethod
    def steps_of(cls, config: S3LocationConfig) -> tuple[Step, ...]:
        """Returns the steps of the test: no keys without a role, and no writing where it is refused."""
        without = {"write", "delete"} if config.read_only else set()
        if not config.role_arn:
            without.add("vend")
        return tuple(step for step in cls.steps if step.name not in without)

    def run(self, step: str, link: Link) -> Detail:
        """Runs a step of the test, with temporary keys if there is a role: it proves what others will get."""
        config: S3LocationConfig = link.config
        if step in ("resolve", "connect"):
            return dial(step, link, *self.target(config))
        if step == "vend":
            access = Access.READ if config.read_only else Access.READ_WRITE
            vending = Vending("", access, SHORTEST_SECONDS, "headwater-validation")
            keys = self._keys(config, vending)
            link.opened["client"] = _client(config, _as_keys(keys))
            return "The token service gave keys that open this location only."
        if step == "list":
            found = self._ask(link, "list_objects_v2", Prefix=config.prefix, MaxKeys=10)
            contents = found.get("Contents", ())
            link.opened["first"] = next((one["Key"] for one in contents if not one["Key"].endswith("/")), "")
            return f"{len(contents)} of the first 10 objects were listed."
        if step == "read":
            if not link.opened["first"]:
                return "There is no object yet that could be read."
            # The whole object could be large, and an empty one has no first byte.
            self._ask(link, "head_object", Key=link.opened["first"])
            return f"The object {link.opened['first']} can be read."
        if step == "write":
            link.opened["probe"] = f"{config.prefix}.headwater-{random.token_hex(8)}"
            self._ask(link, "put_object", Key=link.opened["probe"], Body=b"")
            return f"The object {link.opened['probe']} was written."
        self._ask(link, "delete_object", Key=link.opened["probe"])
        return f"The object {link.opened['probe']} was deleted."

    def discover(self, link: Link, listing: Listing) -> Page:
        """Returns folders and objects directly below a folder, in the order of their keys."""
        config: S3LocationConfig = link.config
        prefix = config.prefix + "".join(f"{part}/" for part in listing.below)
        after = {"ContinuationToken": listing.after} if listing.after else {}
        answer = self._ask(link, "list_objects_v2", Prefix=prefix, Delimiter="/", MaxKeys=listing.limit, **after)
        return aws.objects_below(answer, prefix, listing.below)

    def vend(self, link: Link, vending: Vending) -> Vended:
        """Returns temporary keys whose session policy names one path."""
        keys = self._keys(link.config, vending)
        values = {
            "access_key_id": keys["AccessKeyId"],
            "secret_access_key": keys["SecretAccessKey"],
            "session_token": keys["SessionToken"],
        }
        return Vended(values, keys["AccessKeyId"], keys["Expiration"].astimezone(UTC).isoformat())

    def presign(self, link: Link, vending: Vending) -> Vended:
        """Returns URLs of one object. With a role, they are signed by temporary keys that open nothing else."""
        config: S3LocationConfig = link.config
        require_object(vending.path)
        _require_allowed(config, vending)
        now = datetime.now(UTC)
        if config.role_arn:
            keys = self._keys(config, replace(vending, seconds=max(vending.seconds, SHORTEST_SECONDS)))
            link.opened["client"] = _client(config, _as_keys(keys))
        store, key = self._opened(link), config.prefix + vending.path
        operations = {"GET": "get_object"} | ({"PUT": "put_object"} if vending.access is Access.READ_WRITE else {})
        urls = {
            method: store.generate_presigned_url(
                operation, Params={"Bucket": config.bucket, "Key": key}, ExpiresIn=vending.seconds, HttpMethod=method
            )
            for method, operation in operations.items()
        }
        return Vended(urls, "", (now + timedelta(seconds=vending.seconds)).isoformat())

    def _keys(self, config: S3LocationConfig, vending: Vending) -> dict[str, Any]:
        _require_allowed(config, vending)
        statements = policy_statements(config, vending.path, vending.access)
        return temporary_keys(config, statements, vending.seconds, vending.session)

    def _opened(self, link: Link) -> Any:
        if "client" not in link.opened:
            config: S3LocationConfig = link.config
            # With a role, the access key itself needs no right in the bucket.
            reading = Vending("", Access.READ, SHORTEST_SECONDS, "headwater-reading")
            keys = _as_keys(self._keys(config, reading)) if config.role_arn else config.keys
            link.opened["client"] = _client(config, keys)
        return link.opened["client"]

    def _ask(self, link: Link, operation: str, **arguments: Any) -> Any:
        return aws.ask(self._opened(link), operation, Bucket=link.config.bucket, **arguments)


def policy_statements(config: S3LocationConfig, path: str, access: Access) -> list[dict[str, Any]]:
    """Returns the statements of a session policy that allows one path below a location and nothing else."""
    bucket = f"arn:{config.partition}:s3:::{config.bucket}"
    prefix = config.prefix + path
    folder = not path or path.endswith("/")
    actions = [*_READ, *(_WRITE if access is Access.READ_WRITE else ())]
    objects = {"Effect": "Allow", "Action": actions, "Resource": [f"{bucket}/{prefix}{'*' if folder else ''}"]}
    if not folder:
        return [objects]
    listed: dict[str, Any] = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [bucket]}
    if prefix:
        listed["Condition"] = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    return [objects, listed]


def _require_allowed(config: S3LocationConfig, vending: Vending) -> None:
    if config.read_only and vending.access is Access.READ_WRITE:
        raise Failed("READ_ONLY", "The location is read-only. Ask for read access.")


def _as_keys(keys: dict[str, Any]) -> aws.Keys:
    return aws.Keys(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def _client(config: S3LocationConfig, keys: aws.Keys) -> Any:
    return aws.client("s3", keys, region=config.region, endpoint=config.endpoint, path_style=config.path_style)
