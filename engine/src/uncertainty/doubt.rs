//! Brings mesh and spread together: what a run needs to add layers to its tiles.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use isopleth_kernels as kernels;
use kernels::variance::{Gap, spread};
use kernels::{Factor, Fit, Mat, MatRef, Par, Variance};
use serde::{Deserialize, Serialize};

use super::kept;
use super::mesh::{Comparison, Known, Mesh, Place, by_rows, layers};
use super::spread::{AtCell, Coverage, Shape, Spread};
use super::{CoverageReport, Layer, Of, UncertaintyReport};
use crate::error::Error;
use crate::factors::{FactorCache, Key, Obtained, Origin, words};
use crate::grid::Targets;
use crate::output::{FieldId, Sink, Tile};
use crate::plan::Plan;
use crate::progress::Cancel;
use crate::report::number;
use crate::transform::Transform;

/// What does not change from block to block, and the account.
pub(crate) struct Doubt<'a> {
    plan: &'a Plan,
    factor: &'a Factor,
    transform: Transform,
    tools: Tools<'a>,
    /// On a grid.
    mesh: Option<Arc<Mesh>>,
    share: DoubtShare,
    warnings: Vec<String>,
}

/// What it works with.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) par: Par,
    pub(crate) factors: &'a FactorCache,
    pub(crate) cancel: &'a Cancel,
}

/// What was found of the uncertainty of some fields; shares of others can be added.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DoubtShare {
    /// By method.
    nodes: BTreeMap<usize, usize>,
    #[serde(default)]
    origins: BTreeMap<usize, Origin>,
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
        for (method, origin) in other.origins {
            self.origins.entry(method).or_insert(origin);
        }
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
            mesh: self.origins.values().min().copied(),
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

/// What is known of one network, or of the whole one with some gaps.
enum Group {
    /// On the mesh, of the network that it was made of.
    Whole,
    /// On the mesh.
    Nodes(Arc<Known>),
    /// Of places: the factor of a smaller network, where that serves better than a correction, and what
    /// gaps there are.
    Places(Option<Box<Factor>>, Vec<Gap>),
}

struct FieldDoubt {
    id: FieldId,
    scale: f64,
    shape: Shape,
    /// Group, and network in it. None where there is no surface.
    mask: Option<(usize, usize)>,
}

impl<'a> Doubt<'a> {
    /// None where no layer is asked for. On a grid the mesh is the one `before`, or one kept, or made now: of
    /// the whole network alone, so that it is the same whichever fields come first.
    ///
    /// # Errors
    /// Where the method is no covariance.
    pub(crate) fn new(
        plan: &'a Plan,
        factor: &'a Factor,
        (method, transform): (usize, Transform),
        tools: Tools<'a>,
        before: Option<Arc<Mesh>>,
    ) -> Result<Option<Self>, Error> {
        if plan.layers.is_empty() {
            return Ok(None);
        }
        let start = Instant::now();
        // Where the method is no covariance that is known before anything is computed.
        let variance = Variance::new(factor)?;
        let coverage = vec![Coverage::default(); plan.observations.variables().len()];
        let share = DoubtShare { coverage, ..DoubtShare::default() };
        let (mesh, warnings) = (before, Vec::new());
        let mut doubt = Self { plan, factor, transform, tools, mesh, share, warnings };
        if let (None, Some(place)) = (&doubt.mesh, doubt.place()) {
            let obtained = doubt.obtain_mesh(place, &variance)?;
            doubt.share.origins.insert(method, obtained.origin);
            doubt.warnings.extend(obtained.warning);
            doubt.mesh = Some(obtained.value);
        }
        let nodes = doubt.mesh.as_ref().map(|mesh| (method, mesh.len()));
        doubt.share.nodes.extend(nodes);
        doubt.share.seconds += start.elapsed().as_secs_f64();
        Ok(Some(doubt))
    }

    /// What was found, the mesh, and what the user should know.
    pub(crate) fn into_parts(self) -> (DoubtShare, Option<Arc<Mesh>>, Vec<String>) {
        (self.share, self.mesh, self.warnings)
    }

    fn place(&self) -> Option<Place<'a>> {
        match &self.plan.targets {
            Targets::Grid(grid) => Some(Place { grid, metric: self.factor.method().metric }),
            Targets::Points(_) => None,
        }
    }

    fn key(&self, place: Place<'_>) -> Key {
        let of_factor = Key::new(self.factor.stations(), self.factor.method());
        kept::key(of_factor, &self.plan.network, place.grid)
    }

    /// What is kept, for people.
    fn text(&self) -> String {
        let (tiling, n) = (self.plan.tiling, self.factor.stations().len());
        let (across, down, method) = (tiling.columns, tiling.rows, words(self.factor.method()));
        format!("deviation of {n} stations on {across} x {down} cells, {method}")
    }

    fn obtain_mesh(
        &self,
        place: Place<'_>,
        variance: &Variance<'_>,
    ) -> Result<Obtained<Mesh>, Error> {
        let (tiling, network) = (self.plan.tiling, &self.plan.network);
        let Tools { par, factors, cancel } = self.tools;
        factors.obtain_kept((self.key(place), &self.text()), cancel, || {
            Ok(Mesh::new(place, tiling, network, variance, par))
        })
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
        let (plan, factor, mesh) = (self.plan, self.factor, self.mesh.as_deref());
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
                which.iter().for_each(|&f| fields[f].mask = Some((groups.len(), 0)));
                groups.push(self.whole());
                continue;
            }
            if columns + mask.len() > readings.nrows() && !gaps.is_empty() {
                let gaps = std::mem::take(&mut gaps);
                columns = 0;
                let group = self.with_gaps(&variance, gaps);
                enter(group, &mut waiting, fields, &mut groups);
            }
            if let Some(gap) = variance.gap(&mask, self.tools.par) {
                waiting.extend(which.iter().map(|&f| (f, gaps.len())));
                gaps.push(gap);
                columns += mask.len();
            } else if let Some(group) = self.smaller(&mask)? {
                enter(group, &mut which.iter().map(|&f| (f, 0)).collect(), fields, &mut groups);
            }
        }
        if !waiting.is_empty() {
            let group = self.with_gaps(&variance, gaps);
            enter(group, &mut waiting, fields, &mut groups);
        }
        Ok(groups)
    }

    fn whole(&mut self) -> Group {
        let Some(mesh) = self.mesh.clone() else { return Group::Places(None, Vec::new()) };
        self.compare(&mesh, mesh.whole(), 1);
        Group::Whole
    }

    fn with_gaps(&mut self, variance: &Variance<'_>, gaps: Vec<Gap>) -> Group {
        let (Some(place), Some(mesh)) = (self.place(), self.mesh.clone()) else {
            return Group::Places(None, gaps);
        };
        let refs: Vec<&Gap> = gaps.iter().collect();
        let of_slopes = gaps.iter().map(|gap| by_rows(variance.of_slopes(Some(gap)))).collect();
        let growth = variance.growth(&refs, self.tools.par);
        let known = mesh.with_gaps(place, &growth, of_slopes, self.tools.par);
        self.compare(&mesh, &known, gaps.len());
        Group::Nodes(Arc::new(known))
    }

    /// A network without some stations, factorised anew; none where it makes no surface.
    fn smaller(&mut self, missing: &[usize]) -> Result<Option<Group>, Error> {
        let Tools { par, factors, cancel } = self.tools;
        let (Some(place), Some(mesh)) = (self.place(), self.mesh.clone()) else {
            let made = self.factor.without(missing, par).ok();
            return Ok(made.map(|(_, factor)| Group::Places(Some(Box::new(factor)), Vec::new())));
        };
        let key = kept::key_without(self.key(place), missing);
        let text = format!("{}, without {} stations", self.text(), missing.len());
        let make = || {
            let (_, factor) = self.factor.without(missing, par)?;
            Ok(mesh.of_network(place, &Variance::new(&factor)?, par))
        };
        let obtained = match factors.obtain_kept((key, &text), cancel, make) {
            Err(
                error @ (Error::Cancelled | Error::Method(kernels::Error::NoCovariance { .. })),
            ) => {
                return Err(error);
            }
            Err(_) => return Ok(None),
            Ok(obtained) => obtained,
        };
        let Obtained { value, warning, .. } = obtained;
        if !mesh.fits(&value) {
            return Ok(None);
        }
        self.warnings.extend(warning);
        self.compare(&mesh, &value, 1);
        Ok(Some(Group::Nodes(value)))
    }

    /// Books how far some networks are from the formula.
    fn compare(&mut self, mesh: &Mesh, known: &Known, networks: usize) {
        let (targets, covariates) = (&self.plan.targets, self.plan.covariates.as_ref());
        let at = |row: usize, column: usize| match covariates {
            None => Vec::new(),
            Some(all) => all.standard(targets, &(row..row + 1), &(column..column + 1)).concat(),
        };
        let mut worst = Comparison::default();
        for network in 0..networks {
            let one = mesh.compare(known, network, at);
            worst.largest = worst.largest.max(one.largest);
            worst.typical = worst.typical.max(one.typical);
            worst.cells = worst.cells.max(one.cells);
        }
        let share = &mut self.share;
        share.cells_compared += worst.cells;
        share.largest_difference = share.largest_difference.max(worst.largest);
        share.typical_difference = share.typical_difference.max(worst.typical);
    }
}

/// Enters a group, and that the fields that waited for it have it.
fn enter(
    group: Group,
    waiting: &mut Vec<(usize, usize)>,
    fields: &mut [FieldDoubt],
    groups: &mut Vec<Group>,
) {
    for (field, network) in waiting.drain(..) {
        fields[field].mask = Some((groups.len(), network));
    }
    groups.push(group);
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
        let mut tile =
            TileDoubt { of: self, rows, columns, places: BTreeMap::new(), covariates: None };
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
    /// Of places: by group, what variances are made of, as the kernels tell it.
    places: BTreeMap<usize, Mat<f64>>,
    /// Of the tile's cells, once they are asked for.
    covariates: Option<Vec<Vec<f64>>>,
}

/// Of one network on a tile: σ², or what it is made of.
struct Layers {
    /// Layer by layer.
    at: Vec<f64>,
    of_slopes: Vec<f64>,
}

impl TileDoubt<'_> {
    fn variance(&mut self, mask: Option<(usize, usize)>, out: &mut Vec<f64>) -> Result<(), Error> {
        out.clear();
        let Some((number, network)) = mask else {
            out.resize(self.rows.len() * self.columns.len(), f64::NAN);
            return Ok(());
        };
        let group = &self.of.groups[number];
        let layers = match (group, self.of.mesh) {
            (Group::Places(factor, gaps), _) => self.at_places(number, (factor, gaps), network)?,
            (Group::Nodes(known), Some(mesh)) => self.on_mesh(mesh, known, network),
            (_, Some(mesh)) => self.on_mesh(mesh, mesh.whole(), network),
            (_, None) => unreachable!("a plan with a grid has a mesh"),
        };
        let Some(covariates) = &self.of.plan.covariates else {
            *out = layers.at;
            return Ok(());
        };
        let z = self.covariates.get_or_insert_with(|| {
            covariates.standard(&self.of.plan.targets, self.rows, self.columns)
        });
        let cells = self.rows.len() * self.columns.len();
        let (mut here, mut known) = (vec![0.0; z.len()], vec![0.0; 1 + z.len()]);
        out.extend((0..cells).map(|cell| {
            here.iter_mut().zip(&*z).for_each(|(value, of)| *value = of[cell]);
            known.iter_mut().zip(layers.at.chunks_exact(cells)).for_each(|(v, l)| *v = l[cell]);
            let (k, of_slopes) = (here.len(), &layers.of_slopes);
            spread(&known, &here, MatRef::from_row_major_slice(of_slopes, k, k))
        }));
        Ok(())
    }

    fn on_mesh(&self, mesh: &Mesh, known: &Known, network: usize) -> Layers {
        let mut at = Vec::new();
        mesh.fill(known, mesh.tile_of(self.rows, self.columns), network, &mut at);
        Layers { at, of_slopes: known.of_slopes[network].clone() }
    }

    fn at_places(
        &mut self,
        number: usize,
        (factor, gaps): (&Option<Box<Factor>>, &[Gap]),
        network: usize,
    ) -> Result<Layers, Error> {
        let variance = Variance::new(factor.as_deref().unwrap_or(self.of.factor))?;
        if let (Targets::Points(places), false) =
            (&self.of.plan.targets, self.places.contains_key(&number))
        {
            let (x, y) = (&places.x[self.columns.clone()], &places.y[self.columns.clone()]);
            let points = self.of.factor.method().metric.embed(x, y);
            let gaps: Vec<&Gap> = gaps.iter().collect();
            self.places.insert(number, variance.at(&points, &gaps, Par::Seq));
        }
        // Behind the whole network, where there are gaps.
        let gap = gaps.get(network);
        let first = if gap.is_some() { 1 + network } else { 0 } * (1 + variance.covariates());
        let of_group = self.places[&number].subcols(first, 1 + variance.covariates());
        Ok(Layers { at: layers(of_group), of_slopes: by_rows(variance.of_slopes(gap)) })
    }
}
