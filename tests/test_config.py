"""Connection strings: every parameter, every scheme, clear errors, and no secret shown."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.config import (
    Credentials,
    MemorySettings,
    S3Settings,
    SQLiteSettings,
    format_url,
    s3_settings,
    settings_from_url,
)
from ddao_async.errors import ConfigurationError
from ddao_async.wire.endpoint import endpoint_for, has_checksum

PARAMETERS = [
    "region",
    "endpoint",
    "verbose",
    "profile",
    "addressing_style",
    "max_connections",
    "connect_timeout",
    "read_timeout",
    "deadline",
    "max_attempts",
    "transport",
    "checksum",
    "create_bucket",
    "sse",
    "kms_key_id",
]


def s3(url: str, environ: dict[str, str] | None = None, **options: Any) -> S3Settings:
    settings = settings_from_url(url, environ or {}, **options)
    assert isinstance(settings, S3Settings)
    return settings


def test_every_parameter_is_read() -> None:
    settings = s3(
        "s3://bucket/some/prefix?region=eu-west-1&endpoint=http://127.0.0.1:9000&verbose=true&profile=work"
        "&addressing_style=virtual&max_connections=7&connect_timeout=1.5&read_timeout=2&deadline=3&max_attempts=4"
        "&transport=wire&checksum=crc32&create_bucket=yes&sse=aws:kms&kms_key_id=k"
    )

    assert settings == S3Settings(
        bucket="bucket",
        prefix="some/prefix/",
        region="eu-west-1",
        endpoint="http://127.0.0.1:9000",
        verbose=True,
        profile="work",
        addressing_style="virtual",
        max_connections=7,
        connect_timeout=1.5,
        read_timeout=2.0,
        deadline=3.0,
        max_attempts=4,
        transport="wire",
        checksum="crc32",
        create_bucket=True,
        sse="aws:kms",
        kms_key_id="k",
    )


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("s3://b-1", ""),
        ("s3://b-1/", ""),
        ("s3://b-1/p", "p/"),
        ("s3://b-1/p/", "p/"),
        ("s3://b-1/p/q", "p/q/"),
        ("s3://b-1//p", "/p/"),
        ("s3://b-1/with%20space", "with space/"),
    ],
)
def test_a_prefix_ends_in_one_slash(url: str, prefix: str) -> None:
    assert s3(url).prefix == prefix


def test_options_override_the_url_and_none_means_not_given() -> None:
    settings = s3("s3://bucket?region=eu-west-1&max_connections=7", region="eu-north-1", max_connections=None)

    assert (settings.region, settings.max_connections) == ("eu-north-1", 7)


@pytest.mark.parametrize(
    ("url", "environ", "region"),
    [
        ("s3://bucket?region=a-1", {"AWS_REGION": "b-1", "AWS_DEFAULT_REGION": "c-1"}, "a-1"),
        ("s3://bucket", {"AWS_REGION": "b-1", "AWS_DEFAULT_REGION": "c-1"}, "b-1"),
        ("s3://bucket", {"AWS_DEFAULT_REGION": "c-1"}, "c-1"),
        ("s3://bucket", {}, None),
    ],
)
def test_the_region_comes_from_the_url_then_the_environment(
    url: str, environ: dict[str, str], region: str | None
) -> None:
    settings = s3(url, environ)

    assert settings.region == region
    assert endpoint_for(settings).region == (region or "us-east-1")
    assert endpoint_for(settings, region="of-profile").region == (region or "of-profile")


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://a:1"}, "http://a:1"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"}, "http://b:2"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, None),
    ],
)
def test_the_environment_may_name_the_endpoint(environ: dict[str, str], endpoint: str | None) -> None:
    assert s3("s3://bucket", environ).endpoint == endpoint
    assert s3("s3://bucket?endpoint=http://c:3", environ).endpoint == "http://c:3"


@pytest.mark.parametrize(
    ("url", "scheme", "host", "base_path", "region", "is_aws"),
    [
        ("s3://bkt", "https", "bkt.s3.us-east-1.amazonaws.com", "", "us-east-1", True),
        ("s3://bkt?region=eu-west-1", "https", "bkt.s3.eu-west-1.amazonaws.com", "", "eu-west-1", True),
        ("s3://b.k.t?region=eu-west-1", "https", "s3.eu-west-1.amazonaws.com", "/b.k.t", "eu-west-1", True),
        ("s3://bkt?region=cn-north-1", "https", "bkt.s3.cn-north-1.amazonaws.com.cn", "", "cn-north-1", True),
        (
            "s3://bkt?endpoint=https://s3.eu-west-3.amazonaws.com",
            "https",
            "bkt.s3.eu-west-3.amazonaws.com",
            "",
            "eu-west-3",
            True,
        ),
        ("s3://bkt?endpoint=http://localhost:9000", "http", "localhost:9000", "/bkt", "us-east-1", False),
        ("s3://bkt?endpoint=http://h:9000/base/", "http", "h:9000", "/base/bkt", "us-east-1", False),
        ("s3://bkt?endpoint=http://[::1]:9000", "http", "[::1]:9000", "/bkt", "us-east-1", False),
        (
            "s3://bkt?endpoint=https://nyc3.digitaloceanspaces.com",
            "https",
            "nyc3.digitaloceanspaces.com",
            "/bkt",
            "nyc3",
            False,
        ),
        (
            "s3://bkt?endpoint=https://fra1.digitaloceanspaces.com&addressing_style=virtual",
            "https",
            "bkt.fra1.digitaloceanspaces.com",
            "",
            "fra1",
            False,
        ),
        ("s3://bkt?endpoint=https://s3.wasabisys.com", "https", "s3.wasabisys.com", "/bkt", "us-east-1", False),
        (
            "s3://bkt?endpoint=https://s3.eu-central-1.wasabisys.com",
            "https",
            "s3.eu-central-1.wasabisys.com",
            "/bkt",
            "eu-central-1",
            False,
        ),
        ("s3://bkt?addressing_style=path", "https", "s3.us-east-1.amazonaws.com", "/bkt", "us-east-1", True),
    ],
)
def test_services_resolve_to_host_region_and_addressing_style(
    url: str, scheme: str, host: str, base_path: str, region: str, is_aws: bool
) -> None:
    endpoint = endpoint_for(s3(url))

    assert (endpoint.scheme, endpoint.host, endpoint.base_path) == (scheme, host, base_path)
    assert (endpoint.region, endpoint.is_aws) == (region, is_aws)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bkt", True),
        ("s3://bkt?endpoint=http://localhost:9000", False),
        ("s3://bkt?endpoint=http://localhost:9000&checksum=crc32", True),
        ("s3://bkt?endpoint=http://localhost:9000&checksum=when_supported", True),
        ("s3://bkt?checksum=when_required", False),
    ],
)
def test_checksums_go_where_servers_take_them(url: str, expected: bool) -> None:
    settings = s3(url)

    assert has_checksum(settings, endpoint_for(settings)) is expected


@pytest.mark.parametrize("name", ["regoin", "Region", "max_connection", "timeout", "bucket", "prefix"])
def test_an_unknown_parameter_is_named_and_the_valid_ones_listed(name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        s3(f"s3://bucket?{name}=1")

    assert name in str(raised.value)
    for valid in PARAMETERS:
        assert valid in str(raised.value)
    with pytest.raises(ConfigurationError, match=name):
        s3("s3://bucket", **{name: 1})


@pytest.mark.parametrize(
    "parameter",
    [
        "region=a%20b",
        "endpoint=localhost:9000",
        "endpoint=ftp://x",
        "endpoint=http://",
        "endpoint=http://x:99999",
        "endpoint=http://x/?a=b",
        "verbose=maybe",
        "addressing_style=diagonal",
        "max_connections=many",
        "max_connections=0",
        "max_connections=1.5",
        "connect_timeout=-1",
        "read_timeout=0",
        "deadline=soon",
        "deadline=inf",
        "deadline=nan",
        "max_attempts=0",
        "transport=pigeon",
        "checksum=md4",
        "create_bucket=2",
        "sse=rot13",
        "profile=",
        "region=a-1&region=b-1",
    ],
)
def test_a_malformed_value_is_named(parameter: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        s3(f"s3://bucket?{parameter}")

    assert f"{parameter.partition('=')[0]!r}" in str(raised.value)


@pytest.mark.parametrize("choice", ["transport", "checksum", "addressing_style", "sse"])
def test_a_wrong_choice_lists_the_right_ones(choice: str) -> None:
    valid = {
        "transport": ["auto", "wire", "aiobotocore"],
        "checksum": ["auto", "when_supported", "when_required", "crc32"],
        "addressing_style": ["auto", "path", "virtual"],
        "sse": ["AES256", "aws:kms"],
    }
    with pytest.raises(ConfigurationError) as raised:
        s3(f"s3://bucket?{choice}=wrong")

    assert all(name in raised.value.hint for name in valid[choice])


@pytest.mark.parametrize(
    "url", ["", "bucket", "http://x", "mysql://x", "s3:/x", "s3://", "s3:///p", "s3://b?region", "s3://x"]
)
def test_what_is_no_connection_string_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        settings_from_url(url, {})


SECRET = "wJalrXUtnFEMI-secret"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIA:{SECRET}@bucket/p",
        f"s3://bucket?secret_key={SECRET}",
        f"s3://bucket?aws_secret_access_key={SECRET}",
        f"s3://bucket?access_key={SECRET}",
        f"s3://bucket?session_token={SECRET}",
        f"s3://bucket?password={SECRET}",
        f"s3://bucket?endpoint=http://AKIA:{SECRET}@127.0.0.1:9000",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        s3(url)

    assert SECRET not in str(raised.value)
    assert SECRET not in repr(raised.value)
    assert "AWS_ACCESS_KEY_ID" in str(raised.value)
    assert raised.value.__cause__ is None


def test_no_repr_shows_a_secret() -> None:
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET, SECRET + "-token")

    assert SECRET not in repr(credentials)
    assert SECRET not in f"{credentials}"
    assert "AKIAIOSFODNN7EXAMPLE" not in repr(credentials)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///relative.db", "relative.db"),
        ("sqlite:///folder/relative.db", "folder/relative.db"),
        ("sqlite:////absolute.db", "/absolute.db"),
        ("sqlite:///with%20space.db", "with space.db"),
        ("sqlite://:memory:", ":memory:"),
    ],
)
def test_sqlite_urls_name_a_file(url: str, path: str) -> None:
    assert settings_from_url(url, {}) == SQLiteSettings(path=path)
    assert settings_from_url(format_url(SQLiteSettings(path=path)), {}) == SQLiteSettings(path=path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://x.db", "sqlite:///:memory:", "sqlite:///a%00b"])
def test_what_names_no_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="SQLite"):
        settings_from_url(url, {})


def test_sqlite_and_memory_know_their_own_parameters() -> None:
    assert settings_from_url("sqlite:///x.db?busy_timeout=3&verbose=1", {}) == SQLiteSettings(
        path="x.db", busy_timeout=3.0, verbose=True
    )
    assert settings_from_url("memory://?verbose=false", {}) == MemorySettings()
    for url in ("sqlite:///x.db?region=a", "memory://?region=a"):
        with pytest.raises(ConfigurationError, match=r"'region'.*verbose"):
            settings_from_url(url, {})
    with pytest.raises(ConfigurationError):
        settings_from_url("memory://name", {})


def test_a_kms_key_needs_kms() -> None:
    with pytest.raises(ConfigurationError, match="kms_key_id"):
        s3("s3://bucket?kms_key_id=k&sse=AES256")


def test_the_fields_can_be_given_without_a_url() -> None:
    assert s3_settings({"AWS_REGION": "a-1"}, bucket="bucket", prefix="/p", max_connections=3) == S3Settings(
        bucket="bucket", prefix="p/", region="a-1", max_connections=3
    )
    with pytest.raises(ConfigurationError, match="bucket"):
        s3_settings({}, bucket="no bucket!")


def test_a_formatted_url_leads_to_the_same_place() -> None:
    settings = s3("s3://bucket/a b/c?region=eu-west-1&endpoint=http://127.0.0.1:9000")

    assert s3(format_url(settings)) == settings
