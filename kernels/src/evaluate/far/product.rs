//! Small dense products on lanes, the only arithmetic of handing sums down.

use std::ops::Range;

use pulp::NullaryFnOnce;

use crate::evaluate::lanes::Lanes;

/// `out[r][c] = Σₖ a[r][k] b[k][c]`, row by row; rows of `out` begin `stride` apart. To be added to what is
/// there, columns must be whole vectors.
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
    /// rows × inner
    pub(crate) a: &'a [f64],
    /// inner × columns
    pub(crate) b: &'a [f64],
    pub(crate) out: &'a mut [f64],
    pub(crate) stride: usize,
    /// Whether to add to `out`.
    pub(crate) add: bool,
}

/// Rows and vectors of columns whose sums stay in registers.
const ROWS: usize = 4;
const VECTORS: usize = 4;

impl Product<'_> {
    pub(crate) fn run<L: Lanes>(self, l: L) {
        l.vectorize(Run { l, product: self });
    }
}

struct Run<'a, L: Lanes> {
    l: L,
    product: Product<'a>,
}

impl<L: Lanes> NullaryFnOnce for Run<'_, L> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { l, mut product } = self;
        let mut row = 0;
        while row < product.rows {
            if row + ROWS <= product.rows {
                rows::<L, ROWS>(l, &mut product, row);
                row += ROWS;
            } else {
                rows::<L, 1>(l, &mut product, row);
                row += 1;
            }
        }
    }
}

#[inline(always)]
fn rows<L: Lanes, const R: usize>(l: L, product: &mut Product<'_>, row: usize) {
    let mut column = 0;
    while column < product.columns {
        let left = product.columns - column;
        let vectors = (left / L::F64_LANES).min(VECTORS);
        match vectors {
            4 => block::<L, R, 4>(l, product, row, column),
            3 => block::<L, R, 3>(l, product, row, column),
            2 => block::<L, R, 2>(l, product, row, column),
            1 => block::<L, R, 1>(l, product, row, column),
            // The last columns once more with those before them: the same numbers.
            _ if product.columns >= L::F64_LANES => {
                block::<L, R, 1>(l, product, row, product.columns - L::F64_LANES);
                return;
            }
            _ => return few_columns(product, row..row + R),
        }
        column += vectors * L::F64_LANES;
    }
}

/// Less than a vector of columns.
fn few_columns(product: &mut Product<'_>, rows: Range<usize>) {
    for r in rows {
        for column in 0..product.columns {
            let a = &product.a[r * product.inner..][..product.inner];
            let b = product.b[column..].iter().step_by(product.columns);
            product.out[r * product.stride + column] = a.iter().zip(b).map(|(a, b)| a * b).sum();
        }
    }
}

/// `R` rows and `V` vectors of columns.
#[inline(always)]
fn block<L: Lanes, const R: usize, const V: usize>(
    l: L,
    product: &mut Product<'_>,
    row: usize,
    column: usize,
) {
    let width = V * L::F64_LANES;
    let mut sums = [[l.of(0.0); V]; R];
    for k in 0..product.inner {
        let b = &product.b[k * product.columns + column..][..width];
        let (b, _) = L::as_simd_f64s(b);
        for r in 0..R {
            let a = l.of(product.a[(row + r) * product.inner + k]);
            for v in 0..V {
                sums[r][v] = l.times_plus(a, b[v], sums[r][v]);
            }
        }
    }
    for r in 0..R {
        let out = &mut product.out[(row + r) * product.stride + column..][..width];
        let (vectors, _) = L::as_mut_simd_f64s(out);
        for v in 0..V {
            vectors[v] = if product.add { l.plus(vectors[v], sums[r][v]) } else { sums[r][v] };
        }
    }
}
