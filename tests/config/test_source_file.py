"""`${file:PATH}`: a value that stands in a file of its own, and all that is no such file."""

import os

import pytest

from proxy.config.source import read_source

UNREADABLE = "config.yaml:1: key: the file odd cannot be read:"
LIMIT = 1 << 20  # characters


@pytest.fixture
def read(write):
    """Read a text; give its data and its problems."""

    def source(text):
        result = read_source(write(text), {})
        return result.data, [str(problem) for problem in result.problems]

    return source


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("word", "${file:secrets/word}"),
        ("word", "${file:./secrets/../secrets/word}"),
        ("xword", "x${file:secrets/word:-default}"),
        ("default", "${file:secrets/none:-default}"),
        ("", "${file:secrets/none:-}"),
        ("two\nlines", "${file:secrets/lines}"),
        ("${A}", "${file:secrets/nested}"),
    ],
)
def test_file(tmp_path, monkeypatch, expected, value):
    """`${file:PATH}` is read beside the configuration, wherever the command runs, less its last line break."""
    monkeypatch.chdir("/")
    (tmp_path / "secrets").mkdir()
    for name, text in {"word": "word\n", "lines": "two\nlines\r\n", "nested": "${A}"}.items():
        (tmp_path / "secrets" / name).write_bytes(text.encode())
    (tmp_path / "config.yaml").write_text(f"key: {value}")
    assert {"key": expected} == read_source(tmp_path / "config.yaml", {}).data


def test_absolute_file(read, tmp_path):
    """An absolute path stays one, as of a container's secrets."""
    (tmp_path / "word").write_text("word")
    assert {"key": "word"} == read(f"key: ${{file:{tmp_path}/word}}")[0]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\n", b"\xef\xbb\xbf"], ids=range(4))
def test_empty_file(read, tmp_path, content):
    """It is taken for a mistake - a key that is none encrypts nothing - unless a default says that it may be."""
    (tmp_path / "empty").write_bytes(content)
    problem = "config.yaml:1: key: the file empty is empty: write ${file:…:-} if it may be"
    assert [problem] == read("key: ${file:empty}")[1]
    assert ({"key": "default"}, []) == read("key: ${file:empty:-default}")
    assert ({"key": ""}, []) == read("key: ${file:empty:-}")


@pytest.mark.parametrize("value", ['"${file:a\\0b}"', '"${file:\\ud800}"', "${file:" + "a" * 5000 + "}"])
def test_file_name_that_no_system_takes(read, value):
    """A name that cannot even be looked for is a problem as a missing file is."""
    assert ["config.yaml:1: key"] == [line[:18] for line in read(f"key: {value}")[1]]


@pytest.mark.parametrize(
    ("expected", "content"),
    [
        ("word", b"word\r\n"),
        ("word", b"word\n\n\n"),
        (" word ", b" word "),
        ("word", b"\xef\xbb\xbfword\r\n"),
        ("two\nlines", b"two\r\nlines\r\n"),
        ("p\u00e4ss", "p\u00e4ss\n".encode()),
        ("a" * LIMIT, b"a" * LIMIT),
    ],
    ids=range(7),
)
def test_content(read, tmp_path, expected, content):
    """An editor's byte order mark and the last line breaks are no part of a value; blanks are."""
    (tmp_path / "odd").write_bytes(content)
    assert ({"key": expected}, []) == read("key: ${file:odd}")


@pytest.mark.parametrize(
    ("expected", "content"),
    [
        ("it is too long for a value", b"a" * (LIMIT + 1)),
        ("it is not UTF-8 text", "word\n".encode("utf-16")),
        ("it is not UTF-8 text", b"CANARY\xff"),
    ],
    ids=range(3),
)
def test_content_that_is_no_value(read, tmp_path, expected, content):
    """A file that cannot be a value is one problem, which shows nothing of it."""
    (tmp_path / "odd").write_bytes(content)
    assert ({"key": ""}, [f"{UNREADABLE} {expected}"]) == read("key: ${file:odd:-default}")


def test_pipe(read, tmp_path):
    """A pipe that nobody writes to does not keep a command waiting."""
    os.mkfifo(tmp_path / "odd")
    assert [f"{UNREADABLE} it is no regular file"] == read("key: ${file:odd}")[1]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_device(read, tmp_path, device):
    """Nor does a device that never ends."""
    (tmp_path / "odd").symlink_to(device)
    assert [f"{UNREADABLE} it is no regular file"] == read("key: ${file:odd}")[1]


def test_link(read, tmp_path):
    """A link leads on, as those of Kubernetes' secrets do; one that leads nowhere is a file that is not there."""
    (tmp_path / "odd").symlink_to("word")
    assert "default" == read("key: ${file:odd:-default}")[0]["key"]
    (tmp_path / "word").write_text("word\n")
    assert "word" == read("key: ${file:odd:-default}")[0]["key"]


@pytest.mark.parametrize("name", ["a\\nb", "a\\e[31mb"])
def test_name_that_is_no_line(read, name):
    """A name with control characters in it is not shown."""
    expected = "config.yaml:1: key: there is no file of that name to read this value from"
    assert [expected] == read(f'key: "${{file:{name}}}"')[1]
