"""Covariances as matrices and by factors: products by hand, and every way in which one cannot be used."""

import numpy as np
import pandas as pd
import pytest

import stocklean_exec as sx
from stocklean_exec.portfolio.covariance import FactorCovariance, Risk, align_covariance, tracking_error

NAMES = ["A", "B", "C"]
FRAME = pd.DataFrame([[0.09, 0.01, 0.0], [0.01, 0.04, 0.02], [0.0, 0.02, 0.16]], NAMES, NAMES)
LOADINGS = pd.DataFrame({"market": [1.0, 0.5, 2.0], "size": [0.0, 1.0, -1.0]}, NAMES)
FACTORS = pd.DataFrame([[0.04, 0.01], [0.01, 0.02]], ["market", "size"], ["market", "size"])
SPECIFIC = pd.Series([0.05, 0.03, 0.01], NAMES)
# By hand: A's variance is 0.04 + 0.05; A and B share 0.5 x 0.04 + 1 x 0.01; A and C 2 x 0.04 - 1 x 0.01.
# B: 0.25 x 0.04 + 2 x 0.5 x 0.01 + 0.02 + 0.03; B and C: 0.04 - 0.5 x 0.01 + 2 x 0.01 - 0.02; C: 4 x 0.04
# - 4 x 0.01 + 0.02 + 0.01.
WHOLE = np.array([[0.09, 0.03, 0.07], [0.03, 0.07, 0.035], [0.07, 0.035, 0.15]])


def factors(**changed):
    return FactorCovariance(
        **{"loadings": LOADINGS, "factor_covariance": FACTORS, "specific_variance": SPECIFIC} | changed
    )


def test_a_matrix_is_brought_into_the_order_of_the_book():
    risk = align_covariance(FRAME.loc[["C", "A", "B"], ["B", "C", "A"]], ["B", "A"])
    assert risk.matrix.tolist() == [[0.04, 0.01], [0.01, 0.09]]
    assert risk.times(np.array([1.0, 2.0])).round(12).tolist() == [0.06, 0.19]


def test_factors_are_the_matrix_that_they_stand_for():
    risk = align_covariance(factors(), NAMES)
    assert np.array([risk.times(unit) for unit in np.eye(3)]) == pytest.approx(WHOLE)
    assert risk.diagonal == pytest.approx(np.diagonal(WHOLE))
    # The order of the factors and of the symbols is that of the labels.
    swapped = factors(factor_covariance=FACTORS.iloc[::-1], specific_variance=SPECIFIC.iloc[::-1])
    assert align_covariance(swapped, ["C", "A"]).times(np.array([1.0, 0.0])) == pytest.approx([0.15, 0.07])


@pytest.mark.parametrize("form", ["matrix", "factors"])
def test_a_part_of_the_equations_is_solved(form):
    risk = Risk(matrix=WHOLE) if form == "matrix" else align_covariance(factors(), NAMES)
    right = np.array([[1.0, 0.5], [-2.0, 3.0]])
    expected = np.linalg.inv(WHOLE[np.ix_([0, 2], [0, 2])]) @ right
    assert risk.solve(np.array([0, 2]), right) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", ["matrix", "factors"])
def test_the_curvature_is_above_the_covariance(form):
    risk = Risk(matrix=WHOLE) if form == "matrix" else align_covariance(factors(), NAMES)
    assert np.linalg.eigvalsh(np.diag(risk.curvature()) - WHOLE)[0] > -1e-12


def test_the_curvature_of_small_variances_by_hand():
    # Without factors it is the variances themselves, as small as they are.
    daily = np.array([4e-12, 1e-12])
    for columns in (np.empty((2, 0)), np.zeros((2, 1))):
        assert Risk(factors=columns, specific=daily).curvature() == pytest.approx(daily, rel=1e-12)
    # One factor alone: two names that are the same have the correlations [[1, 1], [1, 1]], of which 2 is an
    # eigenvalue.
    assert Risk(factors=np.ones((2, 1)), specific=np.zeros(2)).curvature() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("form", ["matrix", "factors"])
def test_the_curvature_is_above_zero_even_of_names_without_variance(form):
    for count in (0, 2):
        flat = np.zeros((count, count))
        risk = Risk(matrix=flat) if form == "matrix" else Risk(factors=flat, specific=np.zeros(count))
        assert risk.curvature().shape == (count,)
        assert (risk.curvature() > 0).all()


def test_numbers_in_columns_of_objects_are_numbers():
    risk = align_covariance(factors(factor_covariance=FACTORS.astype(object)), NAMES)
    assert risk.diagonal == pytest.approx(np.diagonal(WHOLE))


def test_the_tracking_error_of_two_independent_names_is_pythagoras():
    # 0.3 x 0.01 and 0.4 x 0.01 are the legs.
    assert tracking_error(np.array([0.01, -0.01]), Risk(matrix=np.diag([0.09, 0.16]))) == pytest.approx(0.005)


def test_share_classes_are_found_however_they_are_written():
    frame = pd.DataFrame([[0.09, 0.01], [0.01, 0.04]], ["BRK.B", "spy"], ["BRK-B", "SPY"])
    assert align_covariance(frame, ["SPY", "BRK B"]).diagonal.tolist() == [0.04, 0.09]


def test_a_covariance_of_few_observations_is_singular_and_good_enough():
    returns = np.random.default_rng(1).normal(size=(5, 40))
    names = [f"S{number}" for number in range(40)]
    assert align_covariance(pd.DataFrame(np.cov(returns.T), names, names), names).matrix.shape == (40, 40)


def problems(covariance, symbols=NAMES):
    with pytest.raises(sx.InputError) as caught:
        align_covariance(covariance() if callable(covariance) else covariance, symbols)
    return [(problem.symbol, problem.code) for problem in caught.value.problems], str(caught.value)


def test_each_missing_symbol_is_named():
    found, text = problems(FRAME.drop(columns="C"), [*NAMES, "D"])
    assert found == [("D", "covariance_missing"), ("C", "covariance_missing"), ("D", "covariance_missing")]
    assert "no row" in text
    found, _ = problems(factors, ["A", "X", "Y"])
    assert [symbol for symbol, _ in found] == ["X", "Y", "X", "Y"]


def test_a_negative_eigenvalue_is_named():
    # 1 and 2 on the anti-diagonal: the eigenvalues of [[1, 2], [2, 1]] are 3 and -1.
    names = ["A", "B"]
    found, text = problems(pd.DataFrame([[1.0, 2.0], [2.0, 1.0]], names, names), names)
    assert found == [(None, "covariance_invalid")]
    assert "the eigenvalue -1," in text
    assert "the largest is 3" in text
    # Round-off is accepted: the eigenvalues are 2 and about -1e-12.
    assert (
        align_covariance(pd.DataFrame([[1.0, 1 + 1e-12], [1 + 1e-12, 1.0]], names, names), names).matrix
        is not None
    )


def test_an_eigenvalue_just_below_zero_is_round_off_whatever_the_mean_variance():
    names = ["A", "B"]
    assert align_covariance(pd.DataFrame(np.diag([1.0, -8e-9]), names, names), names).matrix is not None
    assert problems(pd.DataFrame(np.diag([1.0, -2e-8]), names, names), names)[0] == [(None, "covariance_invalid")]


def test_the_largest_of_three_eigenvalues_is_the_measure():
    # The eigenvalues of the block are 3 and -1, and 0.5 is between them.
    block = pd.DataFrame([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.5]], NAMES, NAMES)
    assert "the largest is 3" in problems(block)[1]
    # A hundred-millionth of the largest, 1, is round-off, however small and however many the others are.
    assert align_covariance(pd.DataFrame(np.diag([1.0, 0.001, -5e-9]), NAMES, NAMES), NAMES).matrix is not None
    found = problems(pd.DataFrame(np.diag([1.0, 1.0, -2e-8]), NAMES, NAMES))[0]
    assert found == [(None, "covariance_invalid")]


def test_numbers_and_labels_that_cannot_be_used_are_refused():
    assert problems(FRAME.replace(0.02, np.nan))[0] == [("B", "covariance_invalid"), ("C", "covariance_invalid")]
    assert "not symmetric" in problems(FRAME + np.triu(np.full((3, 3), 0.001)) - np.eye(3) * 0.001)[1]
    assert "not numbers" in problems(FRAME.astype(object).replace(0.02, "x"))[1]
    assert "twice" in problems(pd.concat([FRAME, FRAME.iloc[:1]]))[1]
    assert "neither a DataFrame" in problems(FRAME.to_numpy())[1]


def test_every_problem_of_a_covariance_by_factors_is_listed():
    def broken():
        return factors(
            loadings=LOADINGS.replace(2.0, np.inf),
            factor_covariance=FACTORS.rename(columns={"size": "value"}),
            specific_variance=pd.Series([0.05, -0.03, np.nan], NAMES),
        )

    found, text = problems(broken)
    assert [symbol for symbol, _ in found] == [None, "C", "C", "B"]
    assert "factor_covariance's columns" in text
    assert "negative" in text
    assert "is list, not a DataFrame" in problems(lambda: factors(loadings=[1]))[1]
    assert (
        "not numbers" in problems(lambda: factors(specific_variance=SPECIFIC.astype(object).replace(0.05, "x")))[1]
    )
    assert "twice" in problems(lambda: factors(specific_variance=pd.Series([1.0, 1.0], ["A", "a"])))[1]
    assert "eigenvalue" in problems(lambda: factors(factor_covariance=FACTORS - 0.03))[1]
