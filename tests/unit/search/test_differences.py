import pytest

from auditor.search.differences import differences, excerpt, first_difference, shown


def test_the_same_values_do_not_differ():
    value = {"a": [1, {"b": None}], "c": "x", "d": 0.1}
    assert list(differences(value, {"d": 0.1, "c": "x", "a": [1, {"b": None}]})) == []


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 2, ("", "1", "2")),
        (1, 1.0, ("", "1", "1.0")),
        (1, True, ("", "1", "true")),
        (None, 0, ("", "null", "0")),
        ({"a": 1}, {}, ("a", "1", "nothing")),
        ({}, {"a": {"b": 1}}, ("a", "nothing", '{"b": 1}')),
        ([1], [1, 2], ("[1]", "nothing", "2")),
        ([1, 2], [1], ("[1]", "2", "nothing")),
        ([1], {"a": 1}, ("", "[1]", '{"a": 1}')),
        ({"a": [{"b c": 1}]}, {"a": [{"b c": 2}]}, ('a[0]["b c"]', "1", "2")),
        ({'say "x"': 1}, {'say "x"': 2}, (r'["say \"x\""]', "1", "2")),
        ("one", "two", ("", "'one'", "'two'")),
    ],
)
def test_one_difference(left, right, expected):
    assert list(differences(left, right)) == [expected]


def test_they_come_in_the_order_of_the_second():
    left, right = {"x": 1, "a": 1, "b": 1}, {"b": 2, "a": 2}
    assert [path for path, _, _ in differences(left, right, "top")] == ["top.b", "top.a", "top.x"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("energy.metered_uj", "5 uJ"),
        ('energy.accounts["study/x/trial/0/1/train"]', "5 uJ"),
        ("energy.by_state.lost", "5 uJ"),
        ("incumbents[0].cumulative_j", "5 J"),
        ("energy.after_seal_s", "5 s"),
        ("compute.device_s.cpu", "5 s"),
        ("carbon.location_based_g", "5 g"),
        ("trials.total", "5"),
        ("tail_share", "5"),
    ],
)
def test_figures_have_the_unit_of_their_path(path, text):
    assert shown(5, path) == text


def test_what_json_does_not_hold_is_shown_too():
    assert shown(b"x") == "\"b'x'\""


def test_what_is_long_is_cut():
    assert len(shown({"a": "x" * 1000})) == 60
    text = "".join(chr(97 + i % 26) for i in range(1000))
    assert excerpt(text) == repr(text[:59] + "…")
    assert excerpt(text, 500) == repr("…" + text[480:539] + "…")
    assert excerpt("short", 4) == "'short'"


def test_the_first_difference():
    assert [first_difference(a, b) for a, b in (("abc", "abd"), ("ab", "abc"), ("", "x"), ("x", "y"))] == [2, 2, 0, 0]
