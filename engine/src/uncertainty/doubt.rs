//! Brings mesh and spread together: what a run needs to add layers to its tiles.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::variance::Gap;
use kernels::{Factor, Fit, Mat, MatRef, Par, Variance};
use serde::{Deserialize, Serialize};

use super::mesh::{Mesh, Nodes, Place};
use super::spread::{AtCell, Coverage, Shape, Spread};
use super::{CoverageReport, Layer, Of, UncertaintyReport};
use crate::error::Error;
use crate::grid::Targets;
use crate::output::{FieldId, Sink, Tile};
use crate::plan::Plan;
use crate::report::number;
use crate::transform::Transform;

/// What does not change from block to block, and the account.
pub(crate) struct Doubt<'a> {
    plan: &'a Plan,
    factor: &'a Factor,
    transform: Transform,
    par: Par,
    /// Which of the run's methods this is.
    method: usize,
    mesh: Option<Mesh>,
    share: DoubtShare,
}

/// What was found of the uncertainty of some fields; shares of others can be added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DoubtShare {
    /// By method.
    nodes: BTreeMap<usize, usize>,
    cells_compared: usize,
    #[serde(deserialize_with = "number")]
    largest_difference: f64,
    #[serde(deserialize_with = "number")]
    typical_difference: f64,
    seconds: f64,
    /// By variable.
    coverage: Vec<Coverage>,
}

impl DoubtShare {
    pub(crate) fn merge(&mut self, other: Self) {
        // The mesh of a method is the same for all time steps.
        self.nodes.extend(other.nodes);
        self.cells_compared += other.cells_compared;
        self.largest_difference = self.largest_difference.max(other.largest_difference);
        self.typical_difference = self.typical_difference.max(other.typical_difference);
        self.seconds += other.seconds;
        if self.coverage.is_empty() {
            self.coverage = other.coverage;
        } else {
            self.coverage.iter_mut().zip(&other.coverage).for_each(|(all, more)| all.merge(more));
        }
    }

    pub(crate) fn into_report(self, plan: &Plan) -> UncertaintyReport {
        let variables = plan.observations.variables().iter().zip(&self.coverage);
        let variables = variables.filter(|(_, coverage)| coverage.count > 0);
        UncertaintyReport {
            of: plan.settings.uncertainty.of,
            nodes: self.nodes.values().sum(),
            cells_compared: self.cells_compared,
            largest_difference: self.largest_difference,
            typical_difference: self.typical_difference,
            seconds: self.seconds,
            variables: variables
                .map(|(variable, coverage)| CoverageReport {
                    variable: variable.name.clone(),
                    coverage_90: coverage.share(),
                    count: coverage.count,
                })
                .collect(),
        }
    }
}

/// Of the fields that are solved together.
pub(crate) struct BlockDoubt<'a> {
    plan: &'a Plan,
    factor: &'a Factor,
    transform: Transform,
    mesh: Option<&'a Mesh>,
    groups: Vec<Group>,
    fields: Vec<FieldDoubt>,
    /// Added to σ².
    noise: f64,
}

/// Sets of missing stations that are corrections of one factor.
struct Group {
    /// A smaller network, where that serves better than a correction.
    factor: Option<Factor>,
    gaps: Vec<Gap>,
    /// On a grid.
    nodes: Option<Nodes>,
}

struct FieldDoubt {
    id: FieldId,
    scale: f64,
    shape: Shape,
    /// Group, and column in it (0: nothing is missing). None where there is no surface.
    mask: Option<(usize, usize)>,
}

impl<'a> Doubt<'a> {
    /// None where no layer is asked for.
    ///
    /// # Errors
    /// Where the method is no covariance.
    pub(crate) fn new(
        plan: &'a Plan,
        factor: &'a Factor,
        (method, transform): (usize, Transform),
        par: Par,
    ) -> Result<Option<Self>, Error> {
        if plan.layers.is_empty() {
            return Ok(None);
        }
        // Where the method is no covariance that is known before anything is computed.
        Variance::new(factor)?;
        let coverage = vec![Coverage::default(); plan.observations.variables().len()];
        let share = DoubtShare { coverage, ..DoubtShare::default() };
        Ok(Some(Self { plan, factor, transform, par, method, mesh: None, share }))
    }

    /// Takes the mesh from before, or makes it now, of the whole network alone: so that it is the same
    /// whichever fields come first.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with_mesh(mut self, mesh: Option<Mesh>) -> Result<Self, Error> {
        self.mesh = match (mesh, self.place()) {
            (None, Some(place)) => {
                let all = Variance::new(self.factor)?;
                let (tiling, network) = (self.plan.tiling, &self.plan.network);
                Some(Mesh::new(place, tiling, network, (&all, &[]), self.par).0)
            }
            (mesh, _) => mesh,
        };
        let nodes = self.mesh.as_ref().map(|mesh| (self.method, mesh.len()));
        self.share.nodes.extend(nodes);
        Ok(self)
    }

    /// What was found, and the mesh.
    pub(crate) fn into_parts(self) -> (DoubtShare, Option<Mesh>) {
        (self.share, self.mesh)
    }

    fn place(&self) -> Option<Place<'a>> {
        match &self.plan.targets {
            Targets::Grid(grid) => Some(Place { grid, metric: self.factor.method().metric }),
            Targets::Points(_) => None,
        }
    }

    /// Of some fields just solved; `readings`, as the surface goes through them, and `fit` are
    /// stations × fields.
    ///
    /// # Errors
    /// Where the method is no covariance without some stations.
    pub(crate) fn block(
        &mut self,
        ids: &[FieldId],
        readings: MatRef<'_, f64>,
        fit: &Fit,
    ) -> Result<BlockDoubt<'_>, Error> {
        let start = Instant::now();
        let variables = self.plan.observations.variables().len();
        let mut fields: Vec<FieldDoubt> = ids
            .iter()
            .map(|&id| FieldDoubt { id, scale: f64::NAN, shape: Shape::Normal, mask: None })
            .collect();
        for variable in 0..variables {
            let which: Vec<usize> =
                (0..ids.len()).filter(|&f| ids[f].variable == variable).collect();
            let z: Vec<_> = which.iter().map(|&f| standardised(fit, f)).collect();
            self.share.coverage[variable].add(&z);
            let plain = |z: &Vec<(usize, f64)>| z.iter().map(|(_, z)| *z).collect();
            let spread = Spread::new(&z.iter().map(plain).collect::<Vec<Vec<f64>>>());
            for ((&f, scale), shape) in which.iter().zip(spread.scales).zip(spread.shapes) {
                (fields[f].scale, fields[f].shape) = (scale, shape);
            }
        }
        let groups = self.groups(readings, fit, &mut fields)?;
        self.share.seconds += start.elapsed().as_secs_f64();
        let mut diagonal = self.factor.method().diagonal.clone();
        diagonal.sort_unstable_by(f64::total_cmp);
        let noise = match self.plan.settings.uncertainty.of {
            Of::Reading => diagonal[diagonal.len() / 2],
            Of::Field => 0.0,
        };
        let (plan, factor, mesh) = (self.plan, self.factor, self.mesh.as_ref());
        Ok(BlockDoubt { plan, factor, transform: self.transform, mesh, groups, fields, noise })
    }

    /// Each set of missing stations, with σ² at the nodes.
    fn groups(
        &mut self,
        readings: MatRef<'_, f64>,
        fit: &Fit,
        fields: &mut [FieldDoubt],
    ) -> Result<Vec<Group>, Error> {
        let variance = Variance::new(self.factor)?;
        let mut groups = Vec::new();
        // Gaps of the whole network's factor whose columns fill no more than its matrix.
        let (mut gaps, mut columns, mut waiting) = (Vec::new(), 0, Vec::new());
        for (mask, which) in masks(readings, fit) {
            if mask.is_empty() {
                waiting.extend(which.iter().map(|&f| (f, 0)));
                continue;
            }
            if columns + mask.len() > readings.nrows() && !gaps.is_empty() {
                let gaps = std::mem::take(&mut gaps);
                columns = 0;
                self.close(None, gaps, &mut waiting, fields, &mut groups)?;
            }
            if let Some(gap) = variance.gap(&mask, self.par) {
                gaps.push(gap);
                columns += mask.len();
                waiting.extend(which.iter().map(|&f| (f, gaps.len())));
            } else if let Ok((_, smaller)) = self.factor.without(&mask, self.par) {
                let mut all: Vec<(usize, usize)> = which.iter().map(|&f| (f, 0)).collect();
                self.close(Some(smaller), Vec::new(), &mut all, fields, &mut groups)?;
            }
        }
        if !waiting.is_empty() {
            self.close(None, gaps, &mut waiting, fields, &mut groups)?;
        }
        Ok(groups)
    }

    fn close(
        &mut self,
        factor: Option<Factor>,
        gaps: Vec<Gap>,
        waiting: &mut Vec<(usize, usize)>,
        fields: &mut [FieldDoubt],
        groups: &mut Vec<Group>,
    ) -> Result<(), Error> {
        let variance = Variance::new(factor.as_ref().unwrap_or(self.factor))?;
        let refs: Vec<&Gap> = gaps.iter().collect();
        let nodes = match self.place() {
            Some(place) => Some(self.nodes(place, (&variance, &refs), factor.is_none())?),
            None => None,
        };
        for (field, column) in waiting.drain(..) {
            fields[field].mask = Some((groups.len(), column));
        }
        groups.push(Group { factor, gaps, nodes });
        Ok(())
    }

    /// σ² at the cells of the mesh, which is made of the whole network when first asked for.
    fn nodes(
        &mut self,
        place: Place<'_>,
        of: (&Variance<'_>, &[&Gap]),
        whole: bool,
    ) -> Result<Nodes, Error> {
        let mut made = None;
        if self.mesh.is_none() {
            let all = Variance::new(self.factor)?;
            let gaps = if whole { of.1 } else { &[] };
            let (tiling, network) = (self.plan.tiling, &self.plan.network);
            let (mesh, nodes) = Mesh::new(place, tiling, network, (&all, gaps), self.par);
            self.share.nodes.insert(self.method, mesh.len());
            self.mesh = Some(mesh);
            made = whole.then_some(nodes);
        }
        let mesh = self.mesh.as_ref().expect("it was made above");
        let nodes = made.unwrap_or_else(|| mesh.nodes(place, of, self.par));
        let compared = mesh.compare(&nodes, place, of, self.par);
        let share = &mut self.share;
        share.cells_compared += compared.cells;
        share.largest_difference = share.largest_difference.max(compared.largest);
        share.typical_difference = share.typical_difference.max(compared.typical);
        Ok(nodes)
    }
}

/// Standardised residuals of a field, each with its station's number.
fn standardised(fit: &Fit, field: usize) -> Vec<(usize, f64)> {
    let residuals = fit.leave_one_out.col_as_slice(field).iter();
    let each = residuals.zip(fit.unit_variance.col_as_slice(field)).enumerate();
    let z = each.map(|(i, (e, variance))| (i, e / variance.sqrt()));
    z.filter(|(_, z)| z.is_finite()).collect()
}

/// Missing stations → fields that have a surface.
fn masks(readings: MatRef<'_, f64>, fit: &Fit) -> BTreeMap<Vec<usize>, Vec<usize>> {
    let mut masks = BTreeMap::<Vec<usize>, Vec<usize>>::new();
    for field in 0..readings.ncols() {
        if fit.failed.iter().all(|(failed, _)| *failed != field) {
            let column = readings.col(field);
            let missing = (0..column.nrows()).filter(|&i| column[i].is_nan()).collect();
            masks.entry(missing).or_default().push(field);
        }
    }
    masks
}

impl BlockDoubt<'_> {
    /// Hands the layers of a tile over, as its map was.
    pub(crate) fn hand_over(
        &self,
        sink: &dyn Sink,
        ids: &[FieldId],
        rows: &Range<usize>,
        columns: &Range<usize>,
        values: &[f64],
    ) -> Result<(), Error> {
        let cells = rows.len() * columns.len();
        let mut tile = TileDoubt { of: self, rows, columns, places: BTreeMap::new() };
        let (mut variance, mut before, mut out) = (Vec::new(), None, vec![0.0; cells]);
        for (id, centres) in ids.iter().zip(values.chunks_exact(cells.max(1))) {
            let layers = self.plan.layers.iter().filter(|(v, _)| *v == id.variable);
            let Some(field) = self.fields.iter().find(|field| field.id == *id) else { continue };
            if before != Some(field.mask) {
                tile.variance(field.mask, &mut variance)?;
                before = Some(field.mask);
            }
            for &(_, layer) in layers {
                self.fill(field, layer, centres, &variance, &mut out);
                sink.layer(layer, Tile { fields: &[*id], rows, columns, values: &out })?;
            }
        }
        Ok(())
    }

    fn fill(
        &self,
        field: &FieldDoubt,
        layer: Layer,
        centres: &[f64],
        variance: &[f64],
        out: &mut [f64],
    ) {
        let bounds = self.plan.bounds[field.id.variable];
        let at_cell = AtCell::new(layer, &field.shape, bounds, self.transform);
        for ((out, &centre), &variance) in out.iter_mut().zip(centres).zip(variance) {
            *out = at_cell.value(centre, field.scale * (variance + self.noise).sqrt());
        }
    }
}

/// σ² on one tile.
struct TileDoubt<'a> {
    of: &'a BlockDoubt<'a>,
    rows: &'a Range<usize>,
    columns: &'a Range<usize>,
    /// Of places: by group, places × (1 + gaps).
    places: BTreeMap<usize, Mat<f64>>,
}

impl TileDoubt<'_> {
    fn variance(&mut self, mask: Option<(usize, usize)>, out: &mut Vec<f64>) -> Result<(), Error> {
        out.clear();
        let Some((number, column)) = mask else {
            out.resize(self.rows.len() * self.columns.len(), f64::NAN);
            return Ok(());
        };
        let group = &self.of.groups[number];
        match (&self.of.plan.targets, self.of.mesh, &group.nodes) {
            (Targets::Grid(_), Some(mesh), Some(nodes)) => {
                mesh.fill(nodes, mesh.tile_of(self.rows, self.columns), column, out);
            }
            (Targets::Points(places), ..) => {
                if !self.places.contains_key(&number) {
                    let (x, y) = (&places.x[self.columns.clone()], &places.y[self.columns.clone()]);
                    let points = self.of.factor.method().metric.embed(x, y);
                    let factor = group.factor.as_ref().unwrap_or(self.of.factor);
                    let gaps: Vec<&Gap> = group.gaps.iter().collect();
                    let made = Variance::new(factor)?.at(&points, &gaps, Par::Seq);
                    self.places.insert(number, made);
                }
                out.extend_from_slice(self.places[&number].col_as_slice(column));
            }
            _ => unreachable!("a plan with a grid has a mesh"),
        }
        Ok(())
    }
}
