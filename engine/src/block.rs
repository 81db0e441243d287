//! The readings of some time steps as a surface is to go through them: less a background, or
//! transformed, and with the flags of quality.

use std::borrow::Cow;
use std::ops::Range;

use isopleth_kernels::Mat;

use crate::background::{self, AtStations};
use crate::error::Error;
use crate::output::FieldId;
use crate::plan::Plan;
use crate::quality::Exam;
use crate::transform::Transform;

/// The fields of some time steps: identities, readings (stations × fields), their flags likewise.
pub(crate) struct Block {
    pub(crate) fields: Vec<FieldId>,
    pub(crate) readings: Mat<f64>,
    pub(crate) flags: Vec<u8>,
    /// What is taken off the readings, laid out likewise.
    pub(crate) background: Option<Mat<f64>>,
    /// By field: readings that were there, but no background.
    pub(crate) without: Vec<u64>,
    /// The readings as the surface goes through them, where that is not as they are.
    pub(crate) transformed: Option<Mat<f64>>,
}

impl Block {
    /// The fields wanted of some time steps, time by time.
    pub(crate) fn read(
        plan: &Plan,
        exam: &mut Exam,
        steps: Range<usize>,
        wanted: impl Fn(FieldId) -> bool,
    ) -> Result<Self, Error> {
        let observations = &plan.observations;
        let (n, variables) = (plan.network.stations().len(), observations.variables().len());
        let all =
            steps.flat_map(|time| (0..variables).map(move |variable| FieldId { time, variable }));
        let fields: Vec<FieldId> = all.filter(|&field| wanted(field)).collect();
        let mut readings = Mat::zeros(n, fields.len());
        let (mut received, mut merged) = (Vec::new(), Vec::new());
        let (mut flagged, mut of_step) = (Vec::new(), Vec::new());
        let mut flags = Vec::with_capacity(n * fields.len());
        let mut read = None;
        let backgrounds = plan.backgrounds.as_ref();
        let mut at_stations =
            backgrounds.map(|of| AtStations::new(of, observations, &plan.network));
        let mut background = at_stations.as_ref().map(|_| Mat::zeros(n, fields.len()));
        let mut without = Vec::new();
        for (column, field) in fields.iter().enumerate() {
            if read != Some(field.time) {
                observations.step(field.time, &mut received)?;
                exam.step(observations, field.time, &mut received, &mut flagged)?;
                of_step.clear();
                plan.network.flags(&flagged, variables, &mut of_step);
                plan.network.values(&received, variables, &mut merged);
                read = Some(field.time);
            }
            let here: &mut [f64] = readings.col_as_slice_mut(column);
            here.copy_from_slice(&merged[field.variable * n..][..n]);
            if let (Some(at_stations), Some(all)) = (&mut at_stations, &mut background) {
                let of_field = at_stations.field(*field, &received)?;
                without.push(background::forget_unknown(here, &of_field));
                all.col_as_slice_mut(column).copy_from_slice(&of_field);
            }
            flags.extend_from_slice(&of_step[field.variable * n..][..n]);
        }
        Ok(Self { fields, readings, flags, background, without, transformed: None })
    }

    /// The same, to be mapped in another form; where there is a background, in none.
    pub(crate) fn transform(self, transform: Transform) -> Self {
        let forward =
            |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, f| transform.forward(m[(i, f)]));
        let transformed = (!transform.is_none()).then(|| forward(&self.readings));
        Self { transformed, ..self }
    }

    /// What the surface goes through: the readings, transformed where they are, or less the background
    /// where there is one; a plan allows no variable both.
    pub(crate) fn to_fit(&self) -> Cow<'_, Mat<f64>> {
        match (&self.transformed, &self.background) {
            (Some(transformed), _) => Cow::Borrowed(transformed),
            (None, Some(background)) => Cow::Owned(background::less(&self.readings, background)),
            (None, None) => Cow::Borrowed(&self.readings),
        }
    }
}
