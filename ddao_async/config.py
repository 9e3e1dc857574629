"""
Connection strings: `s3://bucket/prefix?region=eu-west-1`, `sqlite:///app.db`, `memory://` -> frozen settings.
Pure: the environment is an argument. Where the settings of a bucket lead to is known by `wire.endpoint`.

    s3://bucket/some/prefix?endpoint=http://127.0.0.1:9000&verbose=true
         ──┬─── ─────┬──── ──────────────┬────────────────────────────
         bucket    prefix        parameters = fields of S3Settings

Region: what the URL or an option says, else the one that a known endpoint names (`s3.eu-central-1.wasabisys.com`), else
AWS_REGION, AWS_DEFAULT_REGION, else None: the profile's, which the credential chain knows, and us-east-1 in the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_type_hints
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from msgspec import Meta

from .errors import ConfigurationError

DEFAULT_REGION = "us-east-1"
CREDENTIALS_HINT = (
    "Leave credentials out of connection strings: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, "
    "or use a profile of the shared credentials file (profile=NAME), a container role or an instance role."
)

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Text = Annotated[str, Meta(min_length=1)]
_Bucket = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$")]


class Credentials(msgspec.Struct, frozen=True):
    """
    What signs requests. `expires_at` is epoch seconds; None where they do not expire. The repr hides the secret.

    A source of credentials is an async function without arguments that returns these, fresh enough to sign with now.
    """

    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key[:4]!r}..., secret_key='***')"


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a bucket is and how to talk to it. Times are seconds.

    Attributes:
        prefix: Put before every key; empty, or ends in `/`.
        region: None: the profile's, or us-east-1.
        endpoint: `http://host:port` or `https://host`; None: AWS.
        verbose: Log each request on the logger `ddao_async`.
        profile: Profile of the shared credentials and config files.
        addressing_style: `path` (http://host/bucket/key), `virtual` (http://bucket.host/key), or `auto`: virtual on
            AWS, path on any custom endpoint.
        max_connections: The most requests in flight; more wait their turn, first come first served.
        connect_timeout: The most that one connection may take to be made.
        read_timeout: The longest silence of the server within one request.
        deadline: The most that one call may take, its wait for a connection and its repetitions included. Of a
            streamed or multipart transfer: the most of each of its requests.
        max_attempts: The most attempts of one call.
        transport: `wire` (own HTTP client, for get, put, head, delete, list and parts; the rest by aiobotocore),
            `aiobotocore`, or `auto`: wire unless something is configured that it cannot serve.
        checksum: Of what is written: `crc32` always, `when_supported` the same, `when_required` only where S3 asks for
            one, `auto`: crc32 at AWS, when_required at any custom endpoint (many compatible servers refuse more).
        create_bucket: Create the bucket at connect if it is missing.
        sse: Server-side encryption of what is written: `AES256` or `aws:kms`.
        kms_key_id: The key for `sse=aws:kms`; the account's default key if left out.
    """

    bucket: _Bucket
    prefix: str = ""
    region: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9-]{1,64}$")] | None = None
    endpoint: str | None = None
    verbose: bool = False
    profile: _Text | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    max_connections: _Count = 64
    connect_timeout: _Seconds = 5.0
    read_timeout: _Seconds = 20.0
    deadline: _Seconds = 30.0
    max_attempts: _Count = 6
    transport: Literal["auto", "wire", "aiobotocore"] = "auto"
    checksum: Literal["auto", "when_supported", "when_required", "crc32"] = "auto"
    create_bucket: bool = False
    sse: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: _Text | None = None


class SQLiteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket in one file. `path` may be `:memory:`; `busy_timeout`: how long to wait for another process's write."""

    path: _Text
    busy_timeout: _Seconds = 30.0
    verbose: bool = False


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket in a dict, new at each connect."""

    verbose: bool = False


Settings = S3Settings | SQLiteSettings | MemorySettings
_Kind = TypeVar("_Kind", S3Settings, SQLiteSettings, MemorySettings)


def settings_from_url(url: str, environ: Mapping[str, str], **options: Any) -> Settings:
    """
    Read a connection string.

    Args:
        url: `s3://bucket/prefix?...`, `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://:memory:`, `memory://`.
        environ: The environment; AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL fill what
            neither URL nor options say. (AWS_PROFILE is read by the credential chain.)
        options: Fields of the scheme's settings; they override the URL's parameters. None means not given.

    Raises:
        ConfigurationError: Unknown scheme or parameter, malformed value, credentials in the URL. Names what is wrong,
            lists what is valid, shows no secret.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("s3", "sqlite", "memory"):
        shown = scheme if separator and scheme.isalnum() else "without a scheme"
        raise ConfigurationError(
            f"A connection string {shown!r} is not understood."
            if shown != scheme
            else f"Connection strings of the scheme {scheme!r} are not understood.",
            hint="Use s3://bucket/prefix, sqlite:///path.db, sqlite://:memory: or memory://.",
        )
    location, _, query = rest.partition("?")
    values = _parameters(query)
    given = {name: value for name, value in options.items() if value is not None}
    match scheme:
        case "s3":
            _refuse_located(values | given, S3Settings, {"bucket", "prefix"})
            bucket, prefix = _bucket_and_prefix(location)
            return s3_settings(environ, **(values | given | {"bucket": bucket, "prefix": prefix}))
        case "sqlite":
            _refuse_located(values | given, SQLiteSettings, {"path"})
            return sqlite_settings(**(values | given | {"path": _sqlite_path(location)}))
        case _:
            if location:
                raise ConfigurationError("memory:// takes no location.", hint="Use memory://, which is new each time.")
            return _convert(MemorySettings, values | given)


def s3_settings(environ: Mapping[str, str], **values: Any) -> S3Settings:
    """
    Check the fields of `S3Settings`, given as themselves or as text, and fill in what the environment says.

    Raises:
        ConfigurationError: As `settings_from_url`.
    """
    values = {name: value for name, value in values.items() if value is not None}
    if "prefix" in values:
        values["prefix"] = normal_prefix(str(values["prefix"]))
    if "endpoint" not in values and environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        configured = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
        if configured:
            values["endpoint"] = configured
    if "endpoint" in values:
        values["endpoint"] = _checked_endpoint(str(values["endpoint"]))
    if "region" not in values:
        named = _region_of(values["endpoint"]) if "endpoint" in values else None
        region = named or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if region:
            values["region"] = region
    settings = _convert(S3Settings, values, hidden={"bucket", "prefix"})
    if settings.kms_key_id is not None and settings.sse != "aws:kms":
        raise ConfigurationError("kms_key_id is given without sse=aws:kms.", hint="Add sse=aws:kms, or drop it.")
    return settings


def sqlite_settings(**values: Any) -> SQLiteSettings:
    """
    Check the fields of `SQLiteSettings`, given as themselves or as text.

    Raises:
        ConfigurationError: As `settings_from_url`.
    """
    return _convert(SQLiteSettings, values, hidden={"path"})


def normal_prefix(path: str) -> str:
    """A prefix of keys: one leading `/` cut, one trailing `/` added; empty stays empty."""
    path = path.removeprefix("/")
    return path if not path or path.endswith("/") else path + "/"


def format_url(settings: Settings) -> str:
    """A connection string that leads to the same place: scheme, location, region and endpoint. It holds no secret."""
    match settings:
        case S3Settings():
            query = [f"region={settings.region}"] if settings.region else []
            query += [f"endpoint={settings.endpoint}"] if settings.endpoint else []
            return f"s3://{settings.bucket}/{quote(settings.prefix)}" + ("?" + "&".join(query) if query else "")
        case SQLiteSettings():
            return "sqlite://:memory:" if settings.path == ":memory:" else f"sqlite:///{quote(settings.path)}"
        case MemorySettings():
            return "memory://"


# ---- parts of a URL


def _parameters(query: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in values:
            raise ConfigurationError(f"The parameter {_shown(name)} is given twice.", hint="Give it once.")
        values[name] = value
    return values


def _bucket_and_prefix(location: str) -> tuple[str, str]:
    bucket, _, prefix = location.partition("/")
    if "@" in bucket:
        raise ConfigurationError("The connection string holds credentials.", hint=CREDENTIALS_HINT)
    if not bucket:
        raise ConfigurationError("The connection string names no bucket.", hint="Use s3://bucket/prefix.")
    return unquote(bucket), "/" + unquote(prefix)


def _sqlite_path(location: str) -> str:
    if location == ":memory:":
        return location
    path = unquote(location.removeprefix("/"))
    if not location.startswith("/") or not path or path == ":memory:" or "\0" in path:
        raise ConfigurationError(
            "The connection string names no SQLite file.",
            hint="Use sqlite:///relative.db, sqlite:////absolute.db or sqlite://:memory:.",
        )
    return path


def _checked_endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, valid = urlsplit(""), False
    if "@" in parts.netloc:
        raise ConfigurationError("The endpoint holds credentials.", hint=CREDENTIALS_HINT)
    if not valid or parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", endpoint):
        raise ConfigurationError(
            "The parameter 'endpoint' is not an http:// or https:// URL.",
            hint="Use endpoint=http://127.0.0.1:9000, for example.",
        )
    return endpoint.rstrip("/")


_NAMED_REGIONS = (
    re.compile(r"(?:^|\.)s3[.-](?:dualstack\.|fips\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?$"),
    re.compile(r"(?:^|\.)s3\.([a-z0-9-]+)\.wasabisys\.com$"),
    re.compile(r"(?:^|\.)([a-z]{3}\d)\.digitaloceanspaces\.com$"),
)


def _region_of(endpoint: str) -> str | None:
    """The region that the host name of a known service names: AWS, Wasabi, DigitalOcean Spaces."""
    host = (urlsplit(endpoint).hostname or "").lower()
    found = (pattern.search(host) for pattern in _NAMED_REGIONS)
    return next((match[1] for match in found if match), None)


# ---- values


def _refuse_located(values: dict[str, Any], kind: type[_Kind], located: set[str]) -> None:
    """What the location says is no parameter: two of them could contradict each other."""
    for name in values.keys() & located:
        valid = ", ".join(field for field in kind.__struct_fields__ if field not in located)
        raise ConfigurationError(f"{name!r} is part of the URL, not a parameter.", hint=f"Valid are: {valid}.")


def _convert(kind: type[_Kind], values: dict[str, Any], *, hidden: set[str] | None = None) -> _Kind:
    types = get_type_hints(kind, include_extras=True)
    valid = [name for name in kind.__struct_fields__ if name not in (hidden or set())]
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in types:
            secret = re.search(r"secret|access_?key|password|token|credential", name, re.IGNORECASE)
            raise ConfigurationError(
                f"Unknown parameter {_shown(name)}.",
                hint=CREDENTIALS_HINT if secret else f"Valid are: {', '.join(valid)}.",
            )
        try:
            checked[name] = msgspec.convert(
                _spelled(value, types[name]), types[name], strict=not isinstance(value, str)
            )
        except msgspec.ValidationError as exc:
            raise ConfigurationError(
                f"The parameter {name!r} is malformed: {exc}.",
                hint=f"{_expected(types[name])}Valid parameters are: {', '.join(valid)}.",
            ) from None
    return kind(**checked)


def _spelled(value: Any, annotation: Any) -> Any:
    """`yes`, `on`, `no` and `off` are booleans too."""
    if annotation is bool and isinstance(value, str):
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value)
    return value


def _expected(annotation: Any) -> str:
    """The values that a choice allows, as a sentence."""
    choices = re.findall(r"'([^']+)'", str(annotation)) if "Literal" in str(annotation) else []
    return f"It takes {', '.join(choices)}. " if choices else ""


def _shown(name: str) -> str:
    """A name out of a URL, cut short: it may be anything, even a mistyped secret."""
    return repr(name if len(name) <= 40 and name.isprintable() else name[:12] + "...")
