//! A map made block by block: the same bytes whatever happened in between, and the values of a plain run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use isopleth_engine::blocks::{BlockSize, Work, WorkError, Worker};
use isopleth_engine::grid::Size;
use isopleth_engine::kernels::{Kernel, Method, Smoothing};
use isopleth_engine::observations::{Parts, Station, UnixSeconds, Variable};
use isopleth_engine::output::{Layout, NetcdfFile, Provenance};
use isopleth_engine::{
    Back, Cancel, Choice, Digits, Error, Event, FactorCache, Grid, Kind, Limits, Observations,
    Plan, Precision, Progress, ReadOptions, Registration, Report, Settings, Storage, Targets,
    Transforms, Uncertainty, run,
};

/// Two pollutants at some stations, with gaps, an outlier, a stuck instrument, and a field without
/// any reading.
fn observations(stations: u32, steps: i32, form: fn(f64) -> f64) -> Observations {
    let station = |k: u32| Station {
        id: format!("s{k}"),
        x: 100.0 + f64::from(k * 37 % 101) / 10.0,
        y: 30.0 + f64::from(k * 53 % 97) / 12.0,
    };
    let stations: Vec<Station> = (0..stations).map(station).collect();
    let value = |variable: f64, step: i32, k: usize, s: &Station| {
        if (step as usize * 7 + k * 5).is_multiple_of(23) || (variable > 1.0 && step == 3) {
            return None;
        }
        if k == 6 {
            return Some(11.0);
        }
        let hour = f64::from(step);
        let smooth = 50.0 + 20.0 * (s.x * 0.9 + 0.1 * hour).sin() + variable * 3.0 * s.y;
        Some(if k == 11 && step == 5 { smooth + 400.0 } else { smooth + (hour + k as f64).cos() })
    };
    let rows = |variable: f64| -> Vec<Vec<Option<f64>>> {
        let row = |step| {
            let each = stations.iter().enumerate();
            each.map(|(k, s)| value(variable, step, k, s).map(form)).collect()
        };
        (0..steps).map(row).collect()
    };
    let variable = |name: &str| Variable { name: name.into(), units: Some("µg/m³".into()) };
    let values = vec![(variable("PM2.5"), rows(1.0)), (variable("O3"), rows(2.0))];
    let times = (0..steps).map(|t| format!("2017-07-{:02}T{:02}:00:00Z", 1 + t / 24, t % 24));
    let parts = Parts { stations, times: times.collect(), values };
    Observations::from_parts(parts, &ReadOptions::default()).unwrap()
}

/// What is made in a test.
struct Case {
    stations: u32,
    steps: i32,
    shape: [u64; 2],
    settings: Settings,
    /// What readings are made of the smooth ones.
    form: fn(f64) -> f64,
}

impl Case {
    fn small() -> Self {
        let method = Method {
            kernel: Kernel::Exponential,
            epsilon: Some(0.002),
            smoothing: Smoothing::Same(0.05),
            ..Method::default()
        };
        let settings = Settings {
            method: Choice::Told(method),
            storage: Storage {
                digits: Digits::Exact,
                precision: Precision::F64,
                ..Storage::default()
            },
            threads: Some(2),
            ..Settings::default()
        };
        Self { stations: 40, steps: 40, shape: [150, 130], settings, form: |value| value }
    }

    fn plan(&self) -> Plan {
        let [nx, ny] = self.shape;
        let bounds = [100.0, 30.0, 110.0, 38.0];
        let size = Size::Shape { nx, ny };
        let grid = Grid::from_bounds(bounds, size, Registration::Gridline, true).unwrap();
        let observations = observations(self.stations, self.steps, self.form);
        let (targets, settings) = (Targets::Grid(grid), self.settings.clone());
        Plan::new(observations, targets, settings, &Limits::default()).unwrap()
    }
}

/// The smallest blocks.
const SMALL: BlockSize = BlockSize { fewest_values: 1 };

/// The folder, the plan and the work of one process after another.
struct Place {
    folder: tempfile::TempDir,
    factors: FactorCache,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), factors: FactorCache::default() }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("map.nc")
    }

    /// Does something with a worker, as another process would that began a moment later.
    fn with<T>(
        &self,
        case: &Case,
        size: BlockSize,
        then: impl FnOnce(&Work, &mut Worker<'_>) -> T,
    ) -> T {
        static CLOCK: AtomicI64 = AtomicI64::new(0);
        let later = CLOCK.fetch_add(1, Ordering::Relaxed);
        // The first time of each place counts.
        let known = self.work().join("job.json").exists();
        let created = UnixSeconds(if known { 1_000_000 + later } else { 1_000_000 });
        let command = if known { format!("again {later}") } else { "a test".to_owned() };
        let provenance = Provenance { created, ..Provenance::now(command) };
        let mut plan = case.plan();
        let work = Work::open(&self.work(), &mut plan, &provenance, size).unwrap();
        let cancel = Cancel::default();
        let progress = Progress { on_event: &|_| (), cancel: &cancel };
        let mut worker = Worker::new(&work, &plan, &self.factors, progress).unwrap();
        then(&work, &mut worker)
    }

    fn blocks(&self, case: &Case) -> usize {
        self.with(case, SMALL, |work, _| work.blocks())
    }

    fn finish(&self, case: &Case, size: BlockSize) -> Report {
        self.with(case, size, |_, worker| worker.run(&self.out()).unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.out()).unwrap()
    }
}

fn undisturbed(case: &Case) -> Vec<u8> {
    let place = Place::new();
    place.finish(case, SMALL);
    place.bytes()
}

#[test]
fn interrupted_at_every_boundary_the_file_has_the_bytes_of_an_undisturbed_run() {
    let case = Case::small();
    let (place, whole) = (Place::new(), undisturbed(&case));
    let blocks = place.blocks(&case);
    assert!(blocks >= 4, "{blocks} blocks");
    for block in 0..blocks {
        place.with(&case, SMALL, |work, worker| {
            assert_eq!(work.done(), block, "nothing is forgotten");
            assert!(worker.run_block(block).unwrap());
            assert!(!worker.run_block(block).unwrap(), "what is done is not computed again");
        });
    }
    place.with(&case, SMALL, |_, worker| worker.assemble(&place.out()).unwrap().unwrap());
    assert!(place.bytes() == whole);
    // Killed between the file's appearing and the end: the same once more.
    place.with(&case, SMALL, |_, worker| worker.assemble(&place.out()).unwrap().unwrap());
    assert!(place.bytes() == whole);
}

#[test]
fn blocks_in_another_order_and_with_chosen_methods_and_layers_give_the_same_bytes() {
    let mut case = Case::small();
    case.settings.method = Choice::default();
    case.settings.uncertainty =
        Uncertainty { deviation: true, quantiles: vec![0.9], ..Uncertainty::default() };
    case.steps = 70;
    case.shape = [70, 60];
    let (place, whole) = (Place::new(), undisturbed(&case));
    let blocks = place.blocks(&case);
    assert!(blocks >= 3, "{blocks} blocks");
    for block in (0..blocks).rev() {
        place.with(&case, SMALL, |_, worker| assert!(worker.run_block(block).unwrap()));
    }
    place.finish(&case, SMALL);
    assert!(place.bytes() == whole);
}

/// Made block by block, each by a process of its own; the report of the last.
fn interrupted(case: &Case) -> (Vec<u8>, Report) {
    let place = Place::new();
    let blocks = place.blocks(case);
    assert!(blocks >= 3, "{blocks} blocks");
    for block in 0..blocks {
        place.with(case, SMALL, |_, worker| assert!(worker.run_block(block).unwrap()));
    }
    let report = place.finish(case, SMALL);
    (place.bytes(), report)
}

#[test]
fn a_transform_chosen_by_the_readings_is_that_of_all_blocks() {
    let mut case = Case::small();
    case.settings.method = Choice::default();
    case.form = |value| (value / 25.0).exp();
    (case.steps, case.shape) = (70, [70, 60]);
    let (bytes, report) = interrupted(&case);
    let transformed = report.methods.iter().filter(|method| method.back_transform.is_some());
    assert!(transformed.count() > 0, "{:?}", report.methods);
    assert!(bytes == undisturbed(&case));
}

#[test]
fn what_a_told_transform_leaves_open_and_takes_for_0_is_that_of_all_blocks() {
    let mut case = Case::small();
    case.form = |value| if value < 30.0 { -1.0 } else { value };
    let told = vec!["log".parse().unwrap()];
    case.settings.transforms = Transforms { told, back: Back::Mean };
    let (bytes, report) = interrupted(&case);
    // Of the instrument that is stuck, one reading in 40 hours but for the gaps, of each variable.
    let gaps =
        (0..case.steps).filter(|step| (*step as usize * 7 + 6 * 5).is_multiple_of(23)).count();
    let told = format!("{} readings of PM2.5 below 0", case.steps as usize - gaps);
    assert!(report.warnings.iter().any(|w| w.contains(&told)), "{told}: {:?}", report.warnings);
    assert!(bytes == undisturbed(&case));
}

#[test]
fn damaged_parts_and_records_are_computed_again() {
    let case = Case::small();
    let (place, whole) = (Place::new(), undisturbed(&case));
    place.with(&case, SMALL, |_, worker| {
        (0..4).for_each(|block| assert!(worker.run_block(block).unwrap()));
    });
    let part = |block: usize| place.work().join(format!("block-{block:05}.part"));
    let file = fs::File::options().write(true).open(part(0)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let mut bytes = fs::read(part(1)).unwrap();
    bytes[1000] ^= 1;
    fs::write(part(1), bytes).unwrap();
    fs::remove_file(part(2)).unwrap();
    fs::write(place.work().join("block-00003.json"), "{").unwrap();
    place.with(&case, SMALL, |work, worker| {
        (4..work.blocks()).for_each(|block| assert!(worker.run_block(block).unwrap()));
        assert!(worker.assemble(&place.out()).unwrap().is_none(), "they are noticed");
        assert_eq!(work.done(), work.blocks() - 4);
        assert!(!place.out().exists());
        let error = worker.assemble(&place.out()).unwrap_err().to_string();
        assert!(error.contains("4 of"), "{error}");
    });
    place.finish(&case, SMALL);
    assert!(place.bytes() == whole);
}

#[test]
fn stopped_in_the_middle_of_a_block_nothing_of_it_is_left_and_the_rest_goes_on() {
    let case = Case::small();
    let (place, whole) = (Place::new(), undisturbed(&case));
    let mut plan = case.plan();
    let provenance = Provenance { created: UnixSeconds(1_000_000), ..Provenance::now("a test") };
    let work = Work::open(&place.work(), &mut plan, &provenance, SMALL).unwrap();
    let cancel = Cancel::default();
    let values = plan.targets.cells() * 2 * work.steps(0).len() as u64;
    let stop = |event| {
        if let Event::Values { done, total } = event {
            assert!(done <= total);
            if done > values + values / 3 {
                cancel.cancel();
            }
        }
    };
    let progress = Progress { on_event: &stop, cancel: &cancel };
    let error =
        Worker::new(&work, &plan, &place.factors, progress).unwrap().run(&place.out()).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(work.done(), 1);
    let names = files(&place.work());
    assert_eq!(names, ["block-00000.json", "block-00000.part", "job.json", "lock", "methods.json"]);
    // Whoever is killed leaves hidden files, in the folder and beside the map.
    fs::write(place.work().join(".isopleth-x.part"), "half").unwrap();
    let beside = place.folder.path().join(format!(".isopleth-{}.part", work.identity()));
    fs::write(&beside, "half").unwrap();
    drop(work);
    place.finish(&case, SMALL);
    assert!(place.bytes() == whole);
    assert!(!place.work().join(".isopleth-x.part").exists());
    place.with(&case, SMALL, |work, _| assert_eq!(work.done(), work.blocks()));
    let mut plan = case.plan();
    Work::open(&place.work(), &mut plan, &provenance, SMALL).unwrap().remove().unwrap();
    assert_eq!(files(place.folder.path()), ["map.nc"]);
}

#[test]
fn one_block_has_the_bits_of_a_plain_run_and_many_are_within_its_tolerance() {
    let case = Case::small();
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("plain.nc");
    let plan = case.plan();
    let provenance = Provenance { created: UnixSeconds(1_000_000), ..Provenance::now("a test") };
    let file = NetcdfFile::create(&plain, &Layout::of(&plan, &provenance)).unwrap();
    let cancel = Cancel::default();
    let progress = Progress { on_event: &|_| (), cancel: &cancel };
    let want = run(&plan, &file, progress, &FactorCache::default()).unwrap();
    file.finish(&want).unwrap();
    let mut plan = case.plan();
    assert!(want.certificate.is_some(), "this map is evaluated fast");
    let one = BlockSize { fewest_values: u64::MAX };
    for (size, blocks) in [(one, 1), (SMALL, 4)] {
        let place = Place::new();
        let got = place.finish(&case, size);
        let work = Work::open(&place.work(), &mut plan, &provenance, size).unwrap();
        assert_eq!(work.blocks(), blocks);
        let (made, plain) = (netcdf::open(place.out()).unwrap(), netcdf::open(&plain).unwrap());
        for name in ["pm2_5", "o3", "pm2_5_reading", "o3_residual", "pm2_5_flag"] {
            let variable = plain.variable(name).unwrap();
            let a: Vec<f64> = variable.get_values(..).unwrap();
            let b: Vec<f64> = made.variable(name).unwrap().get_values(..).unwrap();
            // Twice the tolerance of either, of readings that range over 500; and the solver's own
            // rounding where other fields are solved beside.
            let allowed = if blocks == 1 { 0.0 } else { 2e-6 * 500.0 };
            assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= allowed));
            assert!(a.iter().filter(|v| v.abs() < 1e30).count() > a.len() / 2, "{name} has values");
        }
        assert_eq!(got.fields.len(), want.fields.len());
        assert_eq!(
            (&got.quality.flags, got.quality.flagged),
            (&want.quality.flags, want.quality.flagged)
        );
        assert_eq!(got.quality.worst, want.quality.worst);
        for (a, b) in got.fields.iter().zip(&want.fields) {
            assert_eq!(
                (&a.variable, &a.time, a.used, &a.failed),
                (&b.variable, &b.time, b.used, &b.failed)
            );
        }
        for (a, b) in got.variables.iter().zip(&want.variables) {
            let (a, b) = (a.leave_one_out.unwrap(), b.leave_one_out.unwrap());
            assert_eq!(a.count, b.count);
            assert!((a.rmse - b.rmse).abs() < 1e-9 * b.rmse, "sums in another order");
        }
        let (a, b) = (got.certificate.unwrap(), want.certificate.unwrap());
        assert_eq!((a.tiles, a.tolerance), (b.tiles * a.tiles / b.tiles, b.tolerance));
        assert_eq!(got.warnings, want.warnings);
        assert!(text_attribute(&plain, "isopleth_report").contains("\"seconds\""));
        assert!(!text_attribute(&made, "isopleth_report").contains("\"seconds\""));
    }
}

#[test]
fn work_of_other_readings_grid_or_settings_is_refused_and_so_is_a_folder_of_other_things() {
    let case = Case::small();
    let place = Place::new();
    assert!(place.blocks(&case) > 1);
    let open = |case: &Case, folder: &Path| {
        Work::open(folder, &mut case.plan(), &Provenance::now("another"), SMALL)
    };
    let told = |case: &Case| {
        let error = open(case, &place.work()).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput, "{error}");
        error.to_string()
    };
    let text = told(&Case { steps: 39, ..Case::small() });
    assert!(text.contains("begun with other readings"), "{text}");
    let text = told(&Case { shape: [151, 130], ..Case::small() });
    assert!(text.contains("begun with other grid"), "{text}");
    let mut other = Case::small();
    other.settings.storage = Storage::default();
    assert!(told(&other).contains("begun with other settings"));
    let mut same = Case::small();
    same.settings.threads = Some(1);
    drop(open(&same, &place.work()).unwrap());
    let held = open(&case, &place.work()).unwrap();
    let error = open(&case, &place.work()).unwrap_err();
    assert!(matches!(error, Error::Work(WorkError::InUse { .. })), "{error}");
    drop(held);
    let others = place.folder.path().join("others");
    fs::create_dir(&others).unwrap();
    fs::write(others.join("thesis.tex"), "years").unwrap();
    let error = open(&case, &others).unwrap_err();
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(fs::read(others.join("thesis.tex")).unwrap(), b"years");
    // A record of another job among one's own is no damage to be repaired in silence.
    let elsewhere = Place::new();
    let foreign = Case { steps: 39, ..Case::small() };
    elsewhere.with(&foreign, SMALL, |_, worker| assert!(worker.run_block(0).unwrap()));
    fs::copy(elsewhere.work().join("block-00000.json"), place.work().join("block-00000.json"))
        .unwrap();
    let error = place.with(&case, SMALL, |_, worker| worker.run(&place.out()).unwrap_err());
    assert_eq!(error.kind(), Kind::BadInput, "{error}");
}

fn text_attribute(file: &netcdf::File, name: &str) -> String {
    match file.attribute(name).unwrap().value().unwrap() {
        netcdf::AttributeValue::Str(text) => text,
        other => panic!("{name} is {other:?}"),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
