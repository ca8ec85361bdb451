"""S3 and stores that speak its protocol, through boto3."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from connectors import aws
from connectors.connector import (
    Category,
    Config,
    Connector,
    Detail,
    Failed,
    Found,
    Link,
    Listing,
    OptionalSecret,
    Page,
    Secret,
    Step,
)
from connectors.dialing import dial


class S3Config(Config):
    """A bucket, or a part of one."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Name of the bucket."""

    prefix: Annotated[str, Field(max_length=900, pattern=r"^([^/\x00][^\x00]*/)?$")] = ""
    """What the keys of all objects begin with, up to a slash. Empty for the whole bucket."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "us-east-1"
    """Region of the bucket."""

    endpoint: Annotated[str, Field(max_length=500, pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+/?)?$")] = ""
    """Address of a store other than Amazon's, such as `https://minio.example.org`."""

    path_style: bool = False
    """Whether the bucket is a part of the path. Most stores other than Amazon's need it."""

    access_key_id: Annotated[str, Field(min_length=1, max_length=200)]
    """Id of the access key."""

    secret_access_key: Secret
    """Secret of the access key."""

    session_token: OptionalSecret = None
    """Token of a temporary access key."""


class S3(Connector):
    """S3."""

    name: ClassVar = "s3"
    title: ClassVar = "S3"
    description: ClassVar = "A bucket of Amazon S3, or of a store that speaks its protocol."
    category: ClassVar = Category.OBJECT_STORE
    config: ClassVar = S3Config
    steps: ClassVar = (
        Step("resolve", "Resolve the name of the host"),
        Step("connect", "Connect to the port"),
        Step("log_in", "Find the bucket with the access key", 15.0),
        Step("read", "List the first objects", 15.0),
    )
    verified: ClassVar = "moto 5 (S3)"

    @classmethod
    def target(cls, config: S3Config) -> tuple[str, int]:
        """Returns host and port of the store."""
        if not config.endpoint:
            return f"{config.bucket}.s3.{config.region}.amazonaws.com", 443
        parts = urlsplit(config.endpoint)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    def run(self, step: str, link: Link) -> Detail:
        """Runs a step of the test."""
        config: S3Config = link.config
        if step in ("resolve", "connect"):
            return dial(step, link, *self.target(config))
        if step == "log_in":
            self._ask(link, "head_bucket")
            return f"The access key finds the bucket {config.bucket}."
        found = self._ask(link, "list_objects_v2", Prefix=config.prefix, MaxKeys=10)
        return f"{found['KeyCount']} of the first 10 objects were listed."

    def discover(self, link: Link, listing: Listing) -> Page:
        """Returns folders and objects directly below a prefix, in the order of their keys."""
        config: S3Config = link.config
        prefix = config.prefix + "".join(f"{part}/" for part in listing.below)
        after = {"ContinuationToken": listing.after} if listing.after else {}
        answer = self._ask(link, "list_objects_v2", Prefix=prefix, Delimiter="/", MaxKeys=listing.limit, **after)
        return aws.objects_below(answer, prefix, listing.below)

    def objects(self, link: Link, path: str) -> dict[str, Found]:
        """Returns all objects at a path and below it."""
        config: S3Config = link.config
        found: dict[str, Found] = {}
        after: dict[str, str] = {}
        while True:
            answer = self._ask(link, "list_objects_v2", Prefix=config.prefix + path, **after)
            for one in answer.get("Contents", ()):
                name = one["Key"][len(config.prefix) :]
                inside = not path or name == path or name.startswith(f"{path}/")
                # Other tools mark folders and unfinished files so.
                if inside and not name.endswith("/") and not name.rpartition("/")[2].startswith((".", "_")):
                    found[name] = Found((name,), "object", size=one["Size"], version=one["ETag"].strip('"'))
            if not answer.get("IsTruncated"):
                return dict(sorted(found.items()))
            after = {"ContinuationToken": answer["NextContinuationToken"]}

    def content(self, link: Link, found: Found) -> bytes:
        """Returns the content with the ETag of the listing."""
        (name,) = found.path
        answer = self._ask(link, "get_object", Key=link.config.prefix + name, IfMatch=f'"{found.version}"')
        content: bytes = answer["Body"].read()
        return content

    def _ask(self, link: Link, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client(link), operation)(Bucket=link.config.bucket, **arguments)
        except ClientError as error:
            raise _explained(error, link.config.bucket) from error
        except BotoCoreError as error:
            raise Failed("STORE_FAILED", f"The store could not be asked: {error}") from error

    def _client(self, link: Link) -> Any:
        if "client" not in link.opened:
            config: S3Config = link.config
            token = config.session_token.get_secret_value() if config.session_token else None
            link.opened["client"] = aws.client(
                "s3",
                aws.Keys(config.access_key_id, config.secret_access_key.get_secret_value(), token),
                region=config.region,
                endpoint=config.endpoint,
                path_style=config.path_style,
            )
        return link.opened["client"]


def _explained(error: Any, bucket: str) -> Failed:
    code = error.response.get("Error", {}).get("Code", "")
    if code in ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
        return Failed("WRONG_CREDENTIAL", f"The store refused the access key for the bucket {bucket} ({code}).")
    if code in ("404", "NoSuchBucket"):
        return Failed("UNKNOWN_BUCKET", f"There is no bucket {bucket} at this store and region.")
    if code in ("412", "PreconditionFailed", "NoSuchKey"):
        return Failed("OBJECT_CHANGED", "An object changed while the objects were read. Run it again.")
    if code in ("301", "PermanentRedirect", "AuthorizationHeaderMalformed"):
        return Failed("WRONG_REGION", f"The bucket {bucket} is in another region.")
    return Failed("STORE_FAILED", f"The store answered with the error {code or 'without a code'}.")
