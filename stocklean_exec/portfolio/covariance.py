"""Covariances of returns, as a matrix or by factors, aligned with the symbols of a book. Pure.

A covariance says which deviations from the targets matter, and which cancel out. Its horizon is the caller's: a
tracking error computed from it is for the same horizon, and which trades it favours does not depend on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stocklean_exec.errors import InputError, Problem
from stocklean_exec.schema.frame_validator import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["FactorCovariance", "Risk", "align_covariance", "tracking_error"]

_NEGATIVE = 1e-8
"""An eigenvalue below minus this part of the largest one is not round-off. A stated choice: float64 resolves
1e-16, and estimates are written with eight digits or more."""


@dataclass(frozen=True, slots=True, eq=False)
class FactorCovariance:
    """A covariance of returns by factors: ``loadings x factor_covariance x loadings' + specific_variance``.

    For thousands of symbols it is faster than a matrix, and needs a fraction of the memory.

    Parameters
    ----------
    loadings : DataFrame, one row for each symbol (its index), one column for each factor
    factor_covariance : DataFrame, factors in index and columns
    specific_variance : Series by symbol; the variance that no factor explains, in the square of the unit of return

    Raises
    ------
    InputError
        A part is not such a table, labels do not agree or appear twice, a number is missing or infinite, a
        variance is negative, or ``factor_covariance`` is not positive semi-definite; every problem is listed.

    Examples
    --------
    >>> market = pd.DataFrame({"market": [1.0, 1.0]}, index=["AAA", "BBB"])
    >>> variance = pd.DataFrame({"market": [0.04]}, index=["market"])
    >>> covariance = FactorCovariance(market, variance, pd.Series({"AAA": 0.05, "BBB": 0.12}))
    >>> align_covariance(covariance, ["AAA", "BBB"]).diagonal.round(4).tolist()
    [0.09, 0.16]
    """

    loadings: pd.DataFrame
    factor_covariance: pd.DataFrame
    specific_variance: pd.Series[float]

    def __post_init__(self) -> None:
        problems = [
            Problem("covariance_invalid", f"{name} is {type(value).__name__}, not a {kind.__name__}")
            for name, value, kind in (
                ("loadings", self.loadings, pd.DataFrame),
                ("factor_covariance", self.factor_covariance, pd.DataFrame),
                ("specific_variance", self.specific_variance, pd.Series),
            )
            if not isinstance(value, kind)
        ]
        _raise(problems)
        _raise([*self._label_problems(), *self._number_problems()])
        factors = self.loadings.columns
        matrix = self.factor_covariance.loc[factors, factors].to_numpy(dtype="float64")
        _raise(_matrix_problems(matrix, "factor_covariance"))

    def _label_problems(self) -> list[Problem]:
        factors = list(map(str, self.loadings.columns))
        problems = []
        for name, labels in (
            ("factor_covariance's index", self.factor_covariance.index),
            ("factor_covariance's columns", self.factor_covariance.columns),
        ):
            if sorted(map(str, labels)) != sorted(factors):
                text = f"{name} {shown(list(labels))} are not the factors of loadings, {shown(factors)}"
                problems.append(Problem("covariance_invalid", text))
        for name, labels in (
            ("loadings", self.loadings.index),
            ("specific_variance", self.specific_variance.index),
            ("factors", self.loadings.columns),
        ):
            problems += _repeated(labels, name)
        return problems

    def _number_problems(self) -> list[Problem]:
        problems = []
        for name, part in (
            ("loadings", self.loadings),
            ("factor_covariance", self.factor_covariance),
            ("specific_variance", self.specific_variance.to_frame()),
        ):
            try:
                values = part.to_numpy(dtype="float64")
            except (TypeError, ValueError):
                problems.append(Problem("covariance_invalid", f"{name} has values that are not numbers"))
                continue
            problems += [
                Problem("covariance_invalid", f"{name} has a missing or infinite number", symbol=str(label))
                for label in part.index[~np.isfinite(values).all(axis=1)]
            ]
            if name == "specific_variance":
                problems += [
                    Problem("covariance_invalid", "its specific_variance is negative", symbol=str(label))
                    for label in part.index[values[:, 0] < 0]
                ]
        return problems


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """A covariance in the order of some symbols, for quick products.

    It is ``matrix`` (n x n), or else ``factors x factors' + specific``, where ``factors`` is n x k and
    ``specific`` a diagonal of n.
    """

    matrix: NDArray[np.float64] | None = None
    factors: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    specific: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Covariance times ``weights``."""
        if self.matrix is not None:
            return np.asarray(self.matrix @ weights)
        return np.asarray(self.factors @ (self.factors.T @ weights) + self.specific * weights)

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """Variance of each symbol."""
        if self.matrix is not None:
            return np.diagonal(self.matrix)
        return np.asarray(np.einsum("ij,ij->i", self.factors, self.factors) + self.specific)

    def solve(self, rows: NDArray[np.int64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solve ``covariance[rows, rows] x X = right``; by factors with the Woodbury identity.

        A covariance without full rank counts with a little more variance of each name.
        """
        diagonal = self.diagonal[rows]
        little = _NEGATIVE * float(diagonal.max(initial=1e-300))
        if self.matrix is not None:
            part = self.matrix[np.ix_(rows, rows)] + little * np.eye(len(rows))
            return np.asarray(np.linalg.solve(part, right), dtype="float64")
        factors, specific = self.factors[rows], np.maximum(self.specific[rows], little)[:, None]
        alone, scaled = right / specific, factors / specific
        inner = np.eye(factors.shape[1]) + factors.T @ scaled
        return np.asarray(alone - scaled @ np.linalg.solve(inner, factors.T @ alone))

    def curvature(self) -> NDArray[np.float64]:
        """Diagonal of a matrix that is nowhere below the covariance: their difference has no negative eigenvalue.

        Every entry is above 0. Of a matrix it is the sums of absolute values of its rows (diagonal dominance). By
        factors it is the variances times a bound of the largest eigenvalue after scaling by them.
        """
        if self.matrix is not None:
            rows = np.abs(self.matrix).sum(axis=1)
            return np.asarray(np.maximum(rows, _NEGATIVE * float(rows.max(initial=1e-300))))
        diagonal = self.diagonal
        diagonal = np.maximum(diagonal, _NEGATIVE * float(diagonal.max(initial=1e-300)))
        scaled = self.factors / np.sqrt(diagonal)[:, None]
        largest = float(np.linalg.eigvalsh(scaled.T @ scaled)[-1]) if scaled.shape[1] else 0.0
        bound = largest + float((self.specific / diagonal).max(initial=0.0))
        return np.asarray(diagonal * max(bound, 1.0))  # less than 1 only where no name has any variance


def tracking_error(deviation: NDArray[np.float64], risk: Risk) -> float:
    """Standard deviation of the difference in return: the square root of ``deviation' x covariance x deviation``.

    Parameters
    ----------
    deviation : weights of the book less those of the targets, fractions of NAV
    risk : the covariance, in the order of ``deviation``

    Returns
    -------
    A fraction of NAV, for the horizon of the covariance.

    Examples
    --------
    >>> tracking_error(np.array([0.01, -0.01]), Risk(matrix=np.array([[0.09, 0.0], [0.0, 0.16]])))
    0.005
    """
    return math.sqrt(max(float(deviation @ risk.times(deviation)), 0.0))


def align_covariance(covariance: object, symbols: Sequence[str]) -> Risk:
    """Read a covariance and bring it into the order of ``symbols``.

    Share classes may be written as ``BRK.B``, ``BRK-B``, ``BRK/B`` or ``BRK B``; symbols that the book has not
    are left out.

    Parameters
    ----------
    covariance : DataFrame with symbols in index and columns, or a :class:`FactorCovariance`
    symbols : of the book

    Raises
    ------
    InputError
        It is neither, lacks a symbol (each is named), has a number that is missing, is not symmetric, or has an
        eigenvalue that is negative beyond round-off (which is named).

    Examples
    --------
    >>> frame = pd.DataFrame([[0.09, 0.01], [0.01, 0.04]], ["AAA", "BBB"], ["AAA", "BBB"])
    >>> align_covariance(frame, ["BBB"]).matrix
    array([[0.04]])
    """
    if isinstance(covariance, FactorCovariance):
        return _by_factors(covariance, symbols)
    if not isinstance(covariance, pd.DataFrame):
        text = f"covariance {shown(covariance)} is neither a DataFrame with symbols in index and columns nor a "
        raise InputError("covariance", [Problem("covariance_invalid", text + "FactorCovariance")])
    _raise([*_repeated(covariance.index, "its index"), *_repeated(covariance.columns, "its columns")])
    rows, no_row = _places(covariance.index, symbols, "covariance has no row")
    columns, no_column = _places(covariance.columns, symbols, "covariance has no column")
    _raise([*no_row, *no_column])
    try:
        values = covariance.to_numpy(dtype="float64")
    except (TypeError, ValueError):
        raise InputError(
            "covariance", [Problem("covariance_invalid", "it has values that are not numbers")]
        ) from None
    matrix = values[np.ix_(rows, columns)]
    lost = ~np.isfinite(matrix).all(axis=1)
    text = "its row of covariance has a missing or infinite number"
    _raise([Problem("covariance_invalid", text, symbol=symbols[row]) for row in np.flatnonzero(lost).tolist()])
    _raise(_matrix_problems(matrix, "covariance"))
    return Risk(matrix=matrix)


def _by_factors(covariance: FactorCovariance, symbols: Sequence[str]) -> Risk:
    rows, no_row = _places(covariance.loadings.index, symbols, "covariance has no loadings")
    specific, no_variance = _places(
        covariance.specific_variance.index, symbols, "covariance has no specific variance"
    )
    _raise([*no_row, *no_variance])
    factors = covariance.loadings.columns
    common = covariance.factor_covariance.loc[factors, factors].to_numpy(dtype="float64")
    values, vectors = np.linalg.eigh(common)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return Risk(
        factors=covariance.loadings.to_numpy(dtype="float64")[rows] @ root,
        specific=np.asarray(covariance.specific_variance.to_numpy(dtype="float64")[specific], dtype="float64"),
    )


def _plain(label: object) -> str:
    """Name under which a label is searched for, however its share class is written."""
    text = str(label).strip().upper()
    return text.replace(".", " ").replace("-", " ").replace("/", " ")


def _repeated(labels: Iterable[object], where: str) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for label in map(_plain, labels):
        if label in seen:
            problems.append(Problem("covariance_invalid", f"{label} appears twice in {where}", symbol=label))
        seen.add(label)
    return problems


def _places(
    labels: Iterable[object], symbols: Sequence[str], missing: str
) -> tuple[NDArray[np.int64], list[Problem]]:
    """Row of each symbol, and the problems of those that have none."""
    known = {_plain(label): row for row, label in enumerate(labels)}
    rows = [known.get(_plain(symbol), -1) for symbol in symbols]
    problems = [
        Problem("covariance_missing", missing, symbol=symbol)
        for symbol, row in zip(symbols, rows, strict=True)
        if row < 0
    ]
    return np.array(rows, dtype="int64"), problems


def _matrix_problems(matrix: NDArray[np.float64], name: str) -> list[Problem]:
    """Say that a matrix is not symmetric, or has a negative eigenvalue."""
    if not matrix.size:
        return []
    scale = float(np.abs(matrix).max())
    if not np.allclose(matrix, matrix.T, rtol=0.0, atol=_NEGATIVE * scale):
        return [Problem("covariance_invalid", f"{name} is not symmetric")]
    # A tenth of the cost of the eigenvalues: if it works with a little on the diagonal, none is much below zero.
    shift = _NEGATIVE * float(np.trace(matrix)) / len(matrix)
    try:
        np.linalg.cholesky(matrix + shift * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        values = np.linalg.eigvalsh(matrix)
        if values[0] < -_NEGATIVE * max(values[-1], 0.0):
            text = (
                f"{name} has the eigenvalue {values[0]:.3g}, so it is not positive semi-definite; the largest is "
            )
            return [Problem("covariance_invalid", text + f"{values[-1]:.3g}")]
    return []


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise InputError("covariance", problems)
