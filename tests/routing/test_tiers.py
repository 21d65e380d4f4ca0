from __future__ import annotations

import math
from itertools import pairwise, permutations, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.routing.tiers import TierOrder, tier_of
from exporter.settings.routing import QUANTIZATION_TIERS

USUAL = TierOrder(("Q2", "Q3", "Q4"))

tiers = st.sampled_from([*QUANTIZATION_TIERS, "BF16", "Q4_K_M", "small", "large", "fast", "unknown"]) | st.text(
    max_size=3
)
orders = st.lists(tiers.filter(lambda tier: tier != "unknown"), max_size=6, unique=True).map(TierOrder)


# From the quantization


@pytest.mark.parametrize(
    ("quantization", "tier"),
    [
        *((name, "Q1") for name in ("TQ1_0", "IQ1_S", "IQ1_M", "Q1_0")),
        *((name, "Q2") for name in ("Q2_K", "Q2_K_S", "IQ2_XXS", "IQ2_M", "TQ2_0", "UD-IQ2_XXS", "UD-Q2_K_XL")),
        *((name, "Q3") for name in ("Q3_K_M", "IQ3_XS", "UD-Q3_K_XL")),
        *((name, "Q4") for name in ("Q4_K_M", "IQ4_XS", "IQ4_NL", "UD-Q4_K_XL", "Q4_0", "Q4_1", "Q4_0_4_8", "Q4")),
        *((name, "Q4") for name in ("MXFP4", "MXFP4_MOE", "NVFP4")),
        *((name, "Q5") for name in ("Q5_K_S", "Q5_1")),
        ("Q6_K", "Q6"),
        *((name, "Q8") for name in ("Q8_0", "q8_0", "UD-Q8_K_XL")),
        *((name, "F16") for name in ("F16", "BF16", "FP16", "bf16")),
        *((name, "F32") for name in ("F32", "FP32")),
    ],
)
def test_published_names(quantization: str, tier: str) -> None:
    assert tier_of(quantization) == tier


@pytest.mark.parametrize(
    ("words", "tier"),
    [
        ("all F32", "F32"),
        ("mostly F16", "F16"),
        ("mostly Q4_0", "Q4"),
        ("mostly Q4_1, some F16", None),
        ("mostly Q4_K - Medium", "Q4"),
        ("Q2_K - Small", "Q2"),
        ("IQ3_S mix", "Q3"),
        ("IQ3_S mix - 3.66 bpw", "Q3"),
        ("IQ1_S - 1.5625 bpw", "Q1"),
        ("TQ2_0 - 2.06 bpw ternary", "Q2"),
        ("MXFP4 MoE", "Q4"),
        ("(guessed) Q8_0", "Q8"),
        ("(guessed) all F32", "F32"),
    ],
)
def test_what_llama_server_says_of_the_tensors(words: str, tier: str | None) -> None:
    assert tier_of(words) == tier


@pytest.mark.parametrize(
    "words",
    [None, "", "unknown", "unknown, may not work", "large", "Q", "Q0", "Q44", "Q9_0", "XQ4_0", "Q4-0", "Q4_K M"],
)
def test_names_that_are_no_quantization(words: str | None) -> None:
    assert tier_of(words) is None


@pytest.mark.parametrize(
    "words",
    ["FP4", "FP8", "BF32", "F64", "INT4", "AWQ", "GPTQ", "4bit", "K_M", "all", "mostly ", "Q4_0\n", "a Q4_0"],
)
def test_words_that_only_look_like_a_quantization(words: str | None) -> None:
    assert tier_of(words) is None


@given(st.text(max_size=12) | st.from_regex(r"(all |mostly )?(UD-)?I?Q[0-9]_?[A-Z0-9_]{0,6}( - .*)?"))
def test_whatever_comes_out_is_one_of_few_tiers(words: str) -> None:
    assert tier_of(words) in {None, *QUANTIZATION_TIERS}


@pytest.mark.parametrize("tier", QUANTIZATION_TIERS)
def test_a_tier_is_its_own_quantization(tier: str) -> None:
    assert tier_of(tier) == tier


# Their order


def ascending(order: TierOrder, *tiers: str) -> bool:
    ranks = [order.rank(tier) for tier in tiers]
    return all(one < other for one, other in pairwise(ranks))


def test_configured_tiers_are_in_their_order_whatever_they_are_called() -> None:
    assert ascending(USUAL, "Q2", "Q3", "Q4")
    assert ascending(TierOrder(("large", "Q8", "Q2", "a")), "large", "Q8", "Q2", "a")
    assert TierOrder(("cheap", "good")).names == ("cheap", "good")


def test_quantizations_that_were_not_configured_stand_where_their_bits_belong() -> None:
    assert ascending(USUAL, "Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q8", "F16", "F32", "large", "unknown")
    assert ascending(TierOrder(("small", "Q4", "large")), "small", "Q2", "Q4", "Q8", "large", "unknown")
    assert ascending(TierOrder(("Q2", "Q8", "best")), "Q1", "Q2", "Q3", "Q4", "Q8", "F16", "best")


def test_where_a_configured_quantization_is_more_than_bits_the_nearest_with_fewer_bits_counts() -> None:
    # A small model in eight bits may well be cheaper than a large one in four.
    assert ascending(TierOrder(("Q8", "Q4")), "Q8", "Q2", "Q4", "Q5")
    assert ascending(TierOrder(("Q8", "Q4")), "Q8", "F16", "Q4")
    assert ascending(TierOrder(("Q4_K_M", "Q8_0")), "Q3", "Q4_K_M", "Q4", "Q6", "Q8_0", "Q8")


def test_without_a_configured_quantization_they_come_behind_all_configured_tiers() -> None:
    assert ascending(TierOrder(("cheap", "good")), "cheap", "good", "Q2", "Q4", "F16", "other", "unknown")
    assert ascending(TierOrder(()), "Q2", "Q4", "F16", "other", "unknown")


@given(orders, tiers)
def test_the_rank_is_a_number_that_a_new_order_gives_as_well(order: TierOrder, tier: str) -> None:
    rank = order.rank(tier)
    assert rank > -1
    assert math.isinf(rank) == (tier == "unknown")
    assert rank == TierOrder(order.names).rank(tier)


@given(orders, tiers, tiers)
def test_two_configured_tiers_or_two_of_other_bits_never_have_one_rank(order: TierOrder, one: str, other: str) -> None:
    one_place, other_place = ((order.names.index(each) if each in order.names else None) for each in (one, other))
    if one_place is not None and other_place is not None:
        assert (order.rank(one) < order.rank(other)) == (one_place < other_place)
    elif {one, other} <= {*QUANTIZATION_TIERS} and one != other:
        assert order.rank(one) != order.rank(other)


# Who comes next


def test_fallback_goes_to_the_more_capable_first_and_to_the_unknown_last() -> None:
    present = ["unknown", "Q8", "Q2", "Q4", "Q3", "Q1", "Q2"]
    assert USUAL.fallback_order("Q3", present) == ["Q3", "Q4", "Q8", "Q2", "Q1", "unknown"]
    assert USUAL.fallback_order("Q4", present) == ["Q4", "Q8", "Q3", "Q2", "Q1", "unknown"]
    assert USUAL.fallback_order("Q1", present) == ["Q1", "Q2", "Q3", "Q4", "Q8", "unknown"]


def test_the_wanted_tier_comes_first_though_nobody_has_it() -> None:
    assert USUAL.fallback_order("Q3", ["Q4", "Q2"]) == ["Q3", "Q4", "Q2"]
    assert USUAL.fallback_order("Q3", []) == ["Q3"]


def test_who_wants_the_unknown_gets_the_most_capable_next() -> None:
    assert USUAL.fallback_order("unknown", ["Q2", "unknown", "Q4"]) == ["unknown", "Q4", "Q2"]
    assert USUAL.resolve("unknown", ["Q2", "Q4"]) == "Q4"


def test_the_nearest_more_capable_tier_stands_in_for_one_that_nobody_has() -> None:
    assert USUAL.resolve("Q3", ["Q2", "Q3", "Q4"]) == "Q3"
    assert USUAL.resolve("Q3", ["Q2", "Q8", "Q4"]) == "Q4"
    assert USUAL.resolve("Q4", ["Q2", "Q3", "unknown"]) == "Q3"
    assert USUAL.resolve("Q4", ["unknown"]) == "unknown"
    assert USUAL.resolve("Q4", []) == "unknown"


def test_other_names_are_ordered_by_the_alphabet() -> None:
    orders = {tuple(USUAL.fallback_order("Q4", present)) for present in permutations(["zeta", "alpha", "mid"])}
    assert orders == {("Q4", "alpha", "mid", "zeta")}


@given(orders, tiers, st.lists(tiers, max_size=8))
def test_the_fallback_order_is_a_permutation_that_starts_with_the_wanted_tier(
    order: TierOrder, wanted: str, present: list[str]
) -> None:
    found = order.fallback_order(wanted, present)
    assert found[0] == wanted
    assert sorted(found) == sorted({wanted, *present})
    assert "unknown" not in found[1:-1]
    assert found == order.fallback_order(wanted, reversed(present))


@given(orders, tiers, st.lists(tiers, max_size=8))
def test_the_fallback_order_goes_up_and_then_down(order: TierOrder, wanted: str, present: list[str]) -> None:
    own = order.rank(wanted)
    ranks = [order.rank(tier) for tier in order.fallback_order(wanted, present)[1:] if tier != "unknown"]
    # Names of one rank stand side by side.
    up = list(takewhile(lambda rank: rank >= own, ranks))
    down = ranks[len(up) :]
    while up and up[-1] == own:
        down.insert(0, up.pop())
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert max(down, default=own) <= own


@given(orders, tiers, st.lists(tiers, max_size=8))
def test_what_stands_in_is_present_and_the_first_of_the_fallback_order(
    order: TierOrder, wanted: str, present: list[str]
) -> None:
    found = order.resolve(wanted, present)
    assert found in (present or ["unknown"])
    assert found == next((tier for tier in order.fallback_order(wanted, present) if tier in present), "unknown")
