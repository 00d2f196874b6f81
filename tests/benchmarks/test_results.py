"""The table, its figures and the plot, from figures that are made up."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import plot
from tests.benchmarks.events import percentile
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.process import program
from tests.benchmarks.results import Results, digits
from tests.benchmarks.site import _json_of
from tests.benchmarks.workloads import WORKLOADS, Row
from tests.benchmarks.wrk import Load, LoadError, parse

GET, LATENCY = Row("get", "GET", "CPU µs"), Row("p50", "added p50", "µs", added=True)
LINE = '{"requests": 10, "refused": %d, "broken": %d, "p50": 42, "p99": 99}\n'
SVG = "{http://www.w3.org/2000/svg}"


def results(rows: tuple[Row, ...] = (GET,), **best: dict[str, float]) -> Results:
    """Results with these figures."""
    found = Results({"ours": "ours", "nginx": "nginx", "go": "Go <1.20"}, rows)
    for column, figures in best.items():
        found.add(column, figures)
    return found


def test_a_table() -> None:
    """It has a column for each proxy with a figure, and ratios to nginx."""
    table = results(ours={"get": 21.5}, nginx={"get": 10.0}).table()
    assert [
        "|     |        |        ours | nginx |",
        "| --- | ------ | ----------: | ----: |",
        "| GET | CPU µs | 21.5 (2.15) |  10.0 |",
    ] == table.splitlines()


def test_a_table_without_nginx() -> None:
    """It has the figures alone."""
    assert "| GET | CPU µs | 21.5 |" == results(ours={"get": 21.5}).table().splitlines()[-1]


def test_a_row_without_figures() -> None:
    """It is left away; a single figure that lacks is a dash."""
    table = results((GET, LATENCY), ours={"get": 1.0}, nginx={}, go={"get": 3.0, "p50": 9.0}).table()
    assert "| GET | CPU µs | 1.00 |     3.00 |" == table.splitlines()[-1]
    lines = results((GET, Row("post", "POST", "x")), ours={"get": 1.0, "post": 2.0}, go={"get": 3.0}).table()
    assert "| POST | x      | 2.00 |        - |" == lines.splitlines()[-1]


def test_latency_that_is_added() -> None:
    """What the way without a proxy takes is taken off, before the ratio is made."""
    found = results((LATENCY,), direct={"p50": 40.0}, ours={"p50": 70.0}, nginx={"p50": 50.0}, go={"p50": 35.0})
    assert (30.0, 10.0, -5.0) == tuple(found.value(name, "p50") for name in ("ours", "nginx", "go"))
    assert (3.0, None) == (found.ratio("ours", "p50"), found.ratio("go", "p50"))
    assert "The way without a proxy, p50: 40 µs." in found.notes()


def test_latency_without_the_way_without_a_proxy() -> None:
    """There is no figure rather than a wrong one."""
    assert None is results((LATENCY,), ours={"p50": 70.0}).value("ours", "p50")


def test_rounds_that_differ() -> None:
    """The notes say how many figures are unsteady and which is the worst; a quarter is not yet worth a word."""
    found = results((GET, LATENCY), ours={"get": 20.0, "p50": 10.0}, nginx={"get": 5.0})
    found.add("ours", {"get": 25.0, "p50": 10.0})
    assert "rounds differ" not in str(found.notes())
    found.add("nginx", {"get": 11.0})
    found.add("ours", {"p50": 13.0})
    (note,) = (note for note in found.notes() if "rounds differ" in note)
    assert note.startswith("In 2 of 3 figures the rounds differ by more than a quarter (get, nginx: 5.00 to 11.0): ")


def test_what_is_lacking_is_told() -> None:
    """The notes name who is left out and what went wrong, and the JSON has both."""
    found = results(ours={"get": 1.0})
    found.left_out["go"] = "not installed"
    found.faults.append("tls, ours: 3 answers, 3 of them errors")
    assert {"Left out: Go <1.20: not installed.", "Fault: tls, ours: 3 answers, 3 of them errors."} <= set(
        found.notes()
    )
    document = found.document()
    assert ({"go": "not installed"}, found.faults) == (document["left_out"], document["faults"])


@pytest.mark.parametrize(
    ("value", "text"), [(0.456, "0.46"), (9.5, "9.50"), (21.54, "21.5"), (171.56, "172"), (-3.0, "-3.00")]
)
def test_digits(value: float, text: str) -> None:
    """About three digits are written."""
    assert text == digits(value)


def test_what_wrk_says() -> None:
    """The last line counts, whatever stands before."""
    load = parse("Running 1s test\n  10 requests in 1.00s\n\n" + LINE % (0, 0))
    assert Load(10, 0, 0, 42, 99) == load
    assert "" == load.fault


@pytest.mark.parametrize("line", [LINE % (1, 0), LINE % (0, 1), (LINE % (0, 0)).replace("10", "0")])
def test_a_load_with_errors(line: str) -> None:
    """Errors, broken connections and no answer at all are faults."""
    assert "" != parse(line).fault


@pytest.mark.parametrize("out", ["", "unable to connect", '{"requests": 1}', "[1]"])
def test_wrk_without_a_result(out: str) -> None:
    """It is an error that repeats what wrk said last."""
    with pytest.raises(LoadError, match=r"wrk gave no result: (nothing|unable|\{|\[1\])"):
        parse(out)


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentile(percent: float, value: float) -> None:
    """It is the nearest rank."""
    assert value == percentile([float(number) for number in range(100, 0, -1)], percent)


@pytest.mark.parametrize("size", [338, 1 << 10, 64 << 10])
def test_a_body_of_a_size(size: int) -> None:
    """It has as many bytes."""
    assert size == len(_json_of(size).encode())


def test_a_peer_that_is_not_installed() -> None:
    """It says so; one that is installed does not."""
    lacking = Peer("x", "X", "no-such-program", "nginx.conf", ())
    assert ("not installed", "") == (lacking.missing(), PEERS[-1].missing())


def test_keys() -> None:
    """No two rows have the same key, and no two proxies the same name."""
    keys = [row.key for workload in WORKLOADS for row in workload.rows]
    names = [peer.name for peer in PEERS]
    assert (len(keys), len(names)) == (len(set(keys)), len(set(names)))


def test_a_plot() -> None:
    """It is well-formed, and the bars of all rows are as long as their figures say."""
    post = Row("post", "POST", "CPU µs")
    found = results((GET, post), ours={"get": 20.0, "post": 40.0}, go={"get": 10.0})
    root = ET.fromstring(plot.svg(found))
    widths = [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]
    assert [2.0, 1.0, 4.0] == [round(width / widths[1], 2) for width in widths]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"bearer-proxy", "Go <1.20", "GET", "POST", "20.0", "10.0", "40.0"} <= set(texts)


def test_a_plot_of_nothing() -> None:
    """It is well-formed too."""
    assert [] == list(ET.fromstring(plot.svg(results())).iter(f"{SVG}rect"))


def test_a_program_beside_this_python() -> None:
    """It is found, wherever PATH leads."""
    assert program("python3").endswith("/python3")
    assert "" == program("no-such-program")
