//! Small dense products on lanes: `out += a · b`, the only arithmetic of handing sums down.

use pulp::NullaryFnOnce;

use crate::evaluate::lanes::Lanes;

/// `out[r][c] += Σₖ a[r][k] b[k][c]`, row by row; rows of `out` begin `stride` apart.
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
}

/// Rows and vectors of columns whose sums stay in registers.
const ROWS: usize = 4;
const VECTORS: usize = 4;

impl Product<'_> {
    pub(crate) fn add<L: Lanes>(self, l: L) {
        l.vectorize(Add { l, product: self });
    }
}

struct Add<'a, L: Lanes> {
    l: L,
    product: Product<'a>,
}

impl<L: Lanes> NullaryFnOnce for Add<'_, L> {
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
    let whole = product.columns / L::F64_LANES * L::F64_LANES;
    let mut column = 0;
    while column + VECTORS * L::F64_LANES <= whole {
        block::<L, R, VECTORS>(l, product, row, column);
        column += VECTORS * L::F64_LANES;
    }
    while column < whole {
        block::<L, R, 1>(l, product, row, column);
        column += L::F64_LANES;
    }
    for column in column..product.columns {
        for r in row..row + R {
            let a = &product.a[r * product.inner..][..product.inner];
            let mut sum = product.out[r * product.stride + column];
            for (k, a) in a.iter().enumerate() {
                sum += a * product.b[k * product.columns + column];
            }
            product.out[r * product.stride + column] = sum;
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
    for r in 0..R {
        let out = &product.out[(row + r) * product.stride + column..][..width];
        let (vectors, _) = L::as_simd_f64s(out);
        sums[r][..V].copy_from_slice(&vectors[..V]);
    }
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
        vectors[..V].copy_from_slice(&sums[r]);
    }
}
