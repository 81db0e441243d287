//! Places as the solver and the evaluator see them: one slice a coordinate.

/// Places in one to three coordinates, each coordinate in a vector of its own.
///
/// What a coordinate means is the business of [`Metric`](crate::Metric): the
/// coordinates as given (planar), or kilometres in space (on the sphere).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    axes: Vec<Vec<f64>>,
}

impl Points {
    /// Places from their coordinates, one vector an axis.
    ///
    /// # Panics
    /// With no axis, more than three, or axes of different lengths: a bug of the caller.
    #[must_use]
    pub fn new(axes: Vec<Vec<f64>>) -> Self {
        assert!((1..=3).contains(&axes.len()), "points have one to three coordinates");
        assert!(axes.iter().all(|a| a.len() == axes[0].len()), "coordinates differ in length");
        Self { axes }
    }

    /// Number of places.
    #[must_use]
    pub fn len(&self) -> usize {
        self.axes.first().map_or(0, Vec::len)
    }

    /// Whether there is no place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of coordinates of a place, 1 to 3.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.axes.len()
    }

    /// One coordinate of every place.
    #[must_use]
    pub fn axis(&self, k: usize) -> &[f64] {
        &self.axes[k]
    }

    /// The coordinates of one place; those past `dims` are 0.
    #[must_use]
    pub fn at(&self, i: usize) -> [f64; 3] {
        let mut place = [0.0; 3];
        for (k, axis) in self.axes.iter().enumerate() {
            place[k] = axis[i];
        }
        place
    }

    /// The places with these indices, in this order.
    #[must_use]
    pub fn select(&self, which: &[usize]) -> Self {
        Self { axes: self.axes.iter().map(|a| which.iter().map(|&i| a[i]).collect()).collect() }
    }

    /// Every coordinate multiplied by `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self { axes: self.axes.iter().map(|a| a.iter().map(|x| x * factor).collect()).collect() }
    }
}
