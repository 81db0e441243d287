"""Makes the polynomial coefficients in functions.rs. Needs mpmath; run: python3 coefficients.py

Each polynomial is the Chebyshev fit (mpmath.chebyfit, 60 digits; within a few per cent of the
minimax polynomial) of the part of a function that is left when its leading terms are taken out
exactly. The error printed is that of the whole function, relative, before any rounding.
"""

from mpmath import asin, atanh, chebyfit, exp, log, mp, mpf, polyval, sqrt

mp.dps = 60


def quotient(f, leading, power, series):
    """(f(x) - leading(x)) / x**power, by its series where the difference would cancel."""
    return lambda x: series(x) if abs(x) < mpf("1e-12") else (f(x) - leading(x)) / x**power


def show(name, tail, low, high, terms, relative_error):
    coefficients = chebyfit(tail, [low, high], terms)
    rounded = [mpf(float(c)) for c in coefficients]
    grid = [low + (high - low) * mpf(k) / 4000 for k in range(1, 4001)]
    worst = max(abs(relative_error(x, polyval(rounded, x))) for x in grid)
    print(f"// {name}: relative error {float(worst):.1e}")
    for c in reversed(coefficients):
        print(f"    {float(c)!r},")


half_ln2 = log(2) / 2 * mpf("1.0001")
exp_tail = quotient(exp, lambda x: 1 + x, 2, lambda x: mpf(1) / 2 + x / 6 + x * x / 24)
show("EXP: exp(r) = 1 + r + r^2 P(r)", exp_tail, -half_ln2, half_ln2, 10,
     lambda r, p: (1 + r + r * r * p) / exp(r) - 1)

# ln((1 + s) / (1 - s)) = 2 s + s z P(z), z = s^2, (1 + s) / (1 - s) from sqrt(1/2) to sqrt(2)
edge = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2 * mpf("1.0001")
double_atanh = lambda z: 2 * atanh(sqrt(z)) / sqrt(z)
ln_tail = quotient(double_atanh, lambda z: mpf(2), 1, lambda z: mpf(2) / 3 + 2 * z / 5)
show("LN: 2 atanh(s) = 2 s + s z P(z)", ln_tail, mpf(0), edge, 7,
     lambda z, p: (2 + z * p) / double_atanh(z) - 1)

# asin(t) = t + t z P(z), z = t^2 up to 1/4
asin_over = lambda z: asin(sqrt(z)) / sqrt(z)
asin_tail = quotient(asin_over, lambda z: mpf(1), 1, lambda z: mpf(1) / 6 + 3 * z / 40)
show("ASIN: asin(t) = t + t z P(z)", asin_tail, mpf(0), mpf("0.25001"), 13,
     lambda z, p: (1 + z * p) / asin_over(z) - 1)
