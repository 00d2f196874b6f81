"""A file as YAML: references, lines, duplicate keys, anchors, and all that is no configuration at all."""

import pytest

from proxy.config.source import Problem, Source, dotted, read_source

NOT_SET = "config.yaml:1: key: the environment variable A is not set: set it, or write ${A:-}"
NOT_A_NAME = "config.yaml:1: key: not a variable's name in ${…}: use ${NAME}, ${NAME:-default} or ${file:PATH}"
UNCLOSED = "config.yaml:1: key: a ${ without its }: write $${ for the two characters themselves"
TWICE = "this key stands here twice"
NO_MEANING = "config.yaml:1: key: this value has no meaning here: put it in quotes if it is a text"
NO_FILE = "config.yaml:1: key: there is no file none to read this value from"


@pytest.fixture
def read(write):
    """Read a text; give its data and its problems."""

    def source(text, **environ):
        result = read_source(write(text), environ)
        return result.data, [str(problem) for problem in result.problems]

    return source


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("a", "${A}"),
        ("a", "'${A}'"),
        ("a", '"${A}"'),
        ("xay", "x${A}y"),
        ("aa", "${A}${A}"),
        ("a", "${A:-default}"),
        ("default", "${B:-default}"),
        ("default", "${EMPTY:-default}"),
        ("", "${EMPTY}"),
        ("", "${B:-}"),
        ("x:-y", "${B:-x:-y}"),
        ("${A}", "$${A}"),
        ("${A", "$${A"),
        ("${A}a", "$${A}${A}"),
        ("$A", "$A"),
        ("$", "$"),
        ("$${A}", "$$${A}"),
        ("${A}", "${NESTED}"),
        ("5", "${NUMBER}"),
        ("true", "${TRUE}"),
        (["a", {"b": "a"}], "['${A}', {b: '${A}'}]"),
        ("line\na", '"line\\n${A}"'),
    ],
)
def test_reference(read, expected, value):
    """`${VAR}` gives way to the variable, once: what it held is not looked into; `$${` stands for `${`."""
    environ = {"A": "a", "EMPTY": "", "NESTED": "${A}", "NUMBER": "5", "TRUE": "true"}
    assert ({"key": expected}, []) == read(f"key: {value}", **environ)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ([NOT_SET], "${A}"),
        ([NOT_SET, NOT_SET.replace("A", "B")], "${A}${B}"),
        ([NOT_A_NAME], "${}"),
        ([NOT_A_NAME], "${1A}"),
        ([NOT_A_NAME], "${A-b}"),
        ([NOT_A_NAME], "${ A}"),
        ([NOT_A_NAME], "${:-b}"),
        ([UNCLOSED], "'${A'"),
        ([UNCLOSED], "'${'"),
        ([UNCLOSED], "'${A:-{}}'"),
        ([NO_FILE], "${file:none}"),
        (["config.yaml:1: key: the file . cannot be read: Is a directory"], "${file:.}"),
        (["config.yaml:1: key: the file binary cannot be read: it is not UTF-8 text"], "${file:binary}"),
    ],
)
def test_bad_reference(read, tmp_path, expected, value):
    """A reference that leads nowhere is a problem at its key, and names what to do."""
    (tmp_path / "binary").write_bytes(b"\xff")
    assert expected == read(f"key: {value}")[1]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"a": {"b": "a"}}, "a: {b: ${A}}"),
        ({"a": {"b": "a", "c": "x"}}, "a: {b: ${A}, c: x}"),
        ({"a": ["a", "x"]}, "a: [${A}, x]"),
        ({"a": ["b, c", "x"]}, "a: [${B:-b, c}, x]"),
        ({"a": {"b": "c: d # e"}}, "a: {b: ${B:-c: d # e}}"),
        ({"a": {"b": "it's"}}, """a: {b: "${B:-it's}"}"""),
        ({"a": {"b": "it's"}}, "a: {b: '${B:-it''s}'}"),
        ({"a": {"b": "\u00e4\n"}}, 'a: {b: "${B:-\\xe4\\n}"}'),
        ({"a": {"b": "${A}"}}, "a: {b: $${A}}"),
        ({"${A}": "x"}, "{${A}: x}"),
    ],
)
def test_reference_in_flow(read, expected, text):
    """A reference needs no quotes in a flow mapping; in quotes, they and escapes mean what YAML says."""
    assert (expected, []) == read(text, A="a")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({}, "a: b"),
        ({("a",): {"A"}}, "a: ${A}"),
        ({("a",): {"A", "B"}}, "a: ${A}-${B:-default}-$${C}-${file:none:-}"),
        ({("a", 1): {"A"}, ("b", "c"): {"B"}}, "a: [x, '${A}']\nb: {c: '${B:-}'}"),
        ({("a",): {"A"}, ("b",): {"A"}}, "a: &a ${A}\nb: *a"),
        ({}, "${A}"),
    ],
)
def test_variables(write, expected, text):
    """Where each variable stands is kept, be it set or not."""
    assert expected == read_source(write(text), {"A": "a"}).variables


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ([f"config.yaml:2: a: {TWICE}"], "a: 1\na: 2"),
        ([f"config.yaml:2: a: {TWICE}", f"config.yaml:3: a: {TWICE}"], "a: 1\na: 2\na: 3"),
        ([f"config.yaml:3: x.a: {TWICE}"], "x:\n  a: 1\n  a: 2"),
        ([f"config.yaml:1: x.0.a: {TWICE}"], "x: [{a: 1, a: 1}]"),
        ([f"config.yaml:2: a: {TWICE}"], 'a: 1\n"a": 2'),
        ([f"config.yaml:4: y.b: {TWICE}"], "x: &x {b: 0}\ny:\n  b: 1\n  b: 2\n  <<: *x"),
        ([f"config.yaml:1: x.b: {TWICE}"], "x: {<<: {b: 1, b: 2}}"),
        ([], "x: &x {b: 1}\ny: {<<: *x, b: 2}"),
        ([], "x: &x {b: 1}\ny:\n  <<: &y {<<: *x, b: 2}\nz: *y"),
        ([], "x: &x {b: 1, <<: {b: 3}}\ny: *x\nz: *x"),
    ],
)
def test_duplicate_key(read, expected, text):
    """A key that stands twice in one mapping is a problem at its second line; one that overrides a merge is none."""
    assert expected == read(text)[1]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"x": {"b": "1"}, "y": {"b": "1"}}, "x: &x {b: 1}\ny: *x"),
        ({"x": {"b": "1", "c": "1"}, "y": {"b": "1", "c": "2"}}, "x: &x {b: 1, c: 1}\ny: {<<: *x, c: 2}"),
        ({"x": {"b": "1", "c": "1"}, "y": {"b": "1", "c": "2"}}, "x: &x {b: 1, c: 1}\ny: {c: 2, <<: *x}"),
        (
            {"x": {"b": "1"}, "y": {"b": "2", "c": "3"}, "z": {"b": "1", "c": "3"}},
            "x: &x {b: 1}\ny: &y {b: 2, c: 3}\nz: {<<: [*x, *y]}",
        ),
        ({"x": ["v"], "y": ["v"]}, "x: &x ['${A}']\ny: *x"),
    ],
)
def test_anchor(read, expected, text):
    """Anchors and merge keys mean what YAML says; a key written beside a merge wins."""
    assert (expected, []) == read(text, A="v")


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["config.yaml:1: x.0: an anchor may not contain itself"], "x: &x [*x]"),
        (["config.yaml:2: x.y: an anchor may not contain itself"], "x: &x\n  y: *x"),
        (["config.yaml:1: x: an anchor may not contain itself"], "&r {x: *r}"),
        (["config.yaml:1: x: << takes a mapping, or a list of mappings"], "x: {<<: 5, a: 1}"),
        (["config.yaml:1: x: << takes a mapping, or a list of mappings"], "x: {<<: [{a: 1}, 5]}"),
        (["config.yaml:1: x: a key must be a plain word"], "x: {[a, b]: c}"),
        (["config.yaml:1: a key must be a plain word"], "{a: b}: c"),
    ],
)
def test_bad_structure(read, expected, text):
    """What YAML allows and no configuration needs is refused."""
    assert expected == read(text)[1]


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("config.yaml:2: not valid YAML: expected ',' or ']', but got ':'", "a: [b\nc: 1"),
        ("config.yaml:3: not valid YAML: mapping values are not allowed here", "a: 1\n\nb: c: d"),
        ("config.yaml:2: not valid YAML: found character '\\t' that cannot start any token", "a:\n\tb: 1"),
        ("config.yaml:2: not valid YAML: but found another document", "a: 1\n---\nb: 1"),
        ("config.yaml:1: not valid YAML: this is not YAML", b"\x00\x01\x02"),
        ("config.yaml:1: cannot be read: it is not UTF-8 text", b"a: \xff\xfe"),
    ],
)
def test_no_yaml(read, expected, text):
    """What is not YAML is one problem, at the line where it ceases to be."""
    assert (None, [expected]) == read(text)


@pytest.mark.parametrize(
    "value", ["*CANARY", "!CANARY!x y", "!CANARY x", "%CANARY", "@CANARY", "&CANARY *x", "`CANARY"]
)
def test_value_that_is_syntax(read, value):
    """A secret that begins with a character of YAML's own, unquoted, is not shown."""
    (line,) = read(f"a: 1\nkey: {value}")[1]
    assert (True, False) == (line.startswith("config.yaml:2: "), "CANARY" in line)


@pytest.mark.parametrize(
    "value",
    [
        "!!bool x",
        "!!binary '\u00e4'",
        "!!python/name:os.system x",
        "!x y",
    ],
)
def test_scalar_without_meaning(read, value):
    """A scalar with a tag that says nothing to us is a problem."""
    assert [NO_MEANING] == read(f"key: {value}")[1]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "--- # nothing\n", "null\n", b"\xef\xbb\xbf"])
def test_empty_file(read, text):
    """A file that says nothing is a configuration of defaults."""
    assert ({}, []) == read(text)


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, "a: " + "[" * 2000 + "]" * 2000, "a: " + "{b: " * 2000 + "}" * 2000]
)
def test_deep_nesting(read, text):
    """A file nested beyond all sense is a problem, not a crash."""
    assert ["config.yaml:1:"] == [line[:14] for line in read(text)[1]]


@pytest.mark.parametrize(
    "text", ["key: " + "a" * 1_000_000, "key: '" + "${" * 100_000 + "'", "key: '" + "$${" * 100_000 + "'"]
)
def test_long_value(read, text):
    """A value has no greatest length, and no message shows it."""
    data, problems = read(text)
    assert (["key"], True) == (list(data), len("".join(problems)) < 200)


def test_missing_file(tmp_path):
    """A file that is not there is a problem that says how to name another."""
    path = tmp_path / "config.yaml"
    expected = f"{path}:1: there is no such file: give one with -c, or set BEARER_PROXY_CONFIG"
    assert [expected] == [str(problem) for problem in read_source(path, {}).problems]


def test_folder(tmp_path):
    """A folder is not a configuration."""
    expected = f"{tmp_path}:1: cannot be read: Is a directory"
    assert [expected] == [str(problem) for problem in read_source(tmp_path, {}).problems]


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("f:3: a.0.b: wrong", Problem("f", 3, dotted(("a", 0, "b")), "wrong")),
        ("f:3: a: warning: odd", Problem("f", 3, "a", "odd", warning=True)),
        ("f:1: wrong", Problem("f", 1, "", "wrong")),
    ],
)
def test_problem(expected, problem):
    """A problem is one line: where, at which key, what."""
    assert expected == str(problem)


@pytest.mark.parametrize(
    ("expected", "first", "later"),
    [
        (["a.b"], ("a", "b"), ("a", "b")),
        (["a.b"], ("a", "b"), ("a",)),
        (["a"], ("a",), ("a", "b")),
        (["a.b", "a.c"], ("a", "b"), ("a", "c")),
        (["a", "ab"], ("a",), ("ab",)),
        (["", "a"], (), ("a",)),
        (["a", ""], ("a",), ()),
    ],
)
def test_later_stage(tmp_path, expected, first, later):
    """A problem that follows from one of an earlier stage, at its key, above or below, is not reported."""
    source = Source(tmp_path)
    source.report(first, "first")
    source.next_stage()
    source.report(later, "later")
    assert expected == [problem.key for problem in source.problems]


def test_same_stage(tmp_path):
    """Two problems of one stage at one key are both reported."""
    source = Source(tmp_path)
    source.report(("a",), "first")
    source.report(("a",), "second")
    assert ["first", "second"] == [problem.message for problem in source.problems]
