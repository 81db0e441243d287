//! The numbers of a factor: its own, or somebody else's, such as a file's mapped into memory.

use std::sync::Arc;

use faer::{Mat, MatRef};

/// Numbers that outlive whoever borrows them.
pub type Shared = Arc<dyn AsRef<[f64]> + Send + Sync>;

/// A matrix that is only read.
#[derive(Clone)]
pub(crate) enum Numbers {
    Own(Arc<Mat<f64>>),
    /// Column by column, from a position on.
    Lent {
        numbers: Shared,
        from: usize,
        rows: usize,
        columns: usize,
    },
}

impl Numbers {
    pub(crate) fn as_ref(&self) -> MatRef<'_, f64> {
        match self {
            Self::Own(matrix) => matrix.as_ref().as_ref(),
            Self::Lent { numbers, from, rows, columns } => {
                let numbers = &(**numbers).as_ref()[*from..][..rows * columns];
                MatRef::from_column_major_slice(numbers, *rows, *columns)
            }
        }
    }
}

impl From<Mat<f64>> for Numbers {
    fn from(matrix: Mat<f64>) -> Self {
        Self::Own(Arc::new(matrix))
    }
}
