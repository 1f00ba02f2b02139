"""The cost of a layer in frames beside that of Clebsch-Gordan products: rows and exponents."""

import pytest

from genmol.benchmark.so2 import LayerCost, growth, layer_costs


def test_rows_are_measured_for_every_degree():
    rows = layer_costs((1, 2), channels=2, n_edges=8, repeats=1)
    assert [row.l_max for row in rows] == [1, 2]
    assert all(row.seconds_so2 > 0 and row.seconds_cg > 0 for row in rows)


def test_exponents_are_those_of_power_laws():
    rows = [LayerCost(l, 1e-4 * (l + 1) ** 3, 1e-4 * (l + 1) ** 6) for l in (1, 2, 4, 6)]
    assert growth(rows) == pytest.approx((3, 6))
    assert rows[0].ratio == pytest.approx(8)
