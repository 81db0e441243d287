//! Axes, cells and what is refused.

use super::*;
use proptest::prelude::*;

fn shape(bounds: [f64; 4], nx: u64, ny: u64, registration: Registration) -> Grid {
    Grid::from_bounds(bounds, Size::Shape { nx, ny }, registration, true).expect("a grid")
}

fn refusal(bounds: [f64; 4], size: Size, spherical: bool) -> String {
    Grid::from_bounds(bounds, size, Registration::Gridline, spherical)
        .expect_err("refused")
        .to_string()
}

const SMALL: Size = Size::Shape { nx: 3, ny: 3 };

#[test]
fn gridline_nodes_equal_numpys_linspace() {
    // NumPy's formula, `i * step + start` with the last one set, evaluated by Python.
    let grid = shape([73.0, 18.0, 135.0, 54.0], 7, 4, Registration::Gridline);
    let expected = [
        73.0,
        83.33333333333333,
        93.66666666666667,
        104.0,
        114.33333333333334,
        124.66666666666667,
        135.0,
    ];
    assert_eq!(grid.x(), expected);
    assert_eq!(grid.y(), [18.0, 30.0, 42.0, 54.0]);
}

#[test]
fn pixel_bounds_are_the_outer_edges() {
    let grid = shape([0.0, -90.0, 360.0, 90.0], 4, 2, Registration::Pixel);
    assert_eq!(grid.x(), [45.0, 135.0, 225.0, 315.0]);
    assert_eq!(grid.x_edges(), [0.0, 90.0, 180.0, 270.0, 360.0]);
    assert_eq!(grid.y_edges(), [-90.0, 0.0, 90.0]);
}

#[test]
fn west_above_east_crosses_the_date_line() {
    let grid = shape([170.0, -60.0, -170.0, -40.0], 5, 2, Registration::Gridline);
    assert_eq!(grid.x(), [170.0, 175.0, 180.0, 185.0, 190.0]);
    let greenwich = shape([300.0, 0.0, 20.0, 1.0], 3, 2, Registration::Gridline);
    assert_eq!(greenwich.x(), [300.0, 340.0, 380.0]);
}

#[test]
fn a_full_circle_is_allowed_and_more_is_not() {
    assert_eq!(shape([-180.0, 0.0, 180.0, 1.0], 3, 2, Registration::Gridline).x()[2], 180.0);
    let error = refusal([-180.0, 0.0, 360.0, 1.0], SMALL, true);
    assert!(error.contains("540 degrees wide"), "{error}");
}

#[test]
fn south_above_north_makes_rows_descend_and_edges_stay_within_the_poles() {
    let grid = shape([0.0, 90.0, 10.0, -90.0], 2, 3, Registration::Gridline);
    assert_eq!(grid.y(), [90.0, 0.0, -90.0]);
    assert_eq!(grid.y_edges(), [90.0, 45.0, -45.0, -90.0]);
}

#[test]
fn a_resolution_must_divide_the_extent_and_the_nearest_that_does_is_told() {
    let grid = |dx, registration| {
        let size = Size::Resolution { dx, dy: 0.1 };
        Grid::from_bounds([73.0, 18.0, 135.0, 54.0], size, registration, true)
    };
    let fine = grid(0.1, Registration::Gridline).expect("divides");
    assert_eq!((fine.x().len(), fine.y().len()), (621, 361));
    assert_eq!(grid(0.1, Registration::Pixel).expect("divides").x().len(), 620);
    let error = grid(0.7, Registration::Gridline).expect_err("89 cells short").to_string();
    assert!(error.contains("nearest that does is 0.6966292134831461"), "{error}");
    for dx in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = grid(dx, Registration::Gridline).expect_err("none").to_string();
        assert!(error.contains("finite number above 0"), "{error}");
    }
    let error = grid(1e-9, Registration::Gridline).expect_err("too fine").to_string();
    assert!(error.contains("more than the limit"), "{error}");
    assert!(grid(100.0, Registration::Pixel).is_err(), "coarser than the bounds");
}

#[test]
fn bounds_that_are_no_rectangle_are_refused() {
    for (bounds, spherical, words) in [
        ([0.0, -91.0, 1.0, 0.0], true, "latitudes are within -90 and 90"),
        ([-181.0, 0.0, 1.0, 1.0], true, "longitudes are within -180 and 360"),
        ([0.0, f64::NAN, 1.0, 0.0], true, "not all are finite"),
        ([0.0, 0.0, f64::INFINITY, 0.0], false, "not all are finite"),
        ([5.0, 0.0, 1.0, 1.0], false, "west is greater than east"),
        ([5.0, 0.0, 5.0, 1.0], true, "bounds that are equal"),
        ([180.0, 0.0, -180.0, 1.0], true, "bounds that are equal"),
        ([0.0, 1.0, 5.0, 1.0], false, "3 rows between bounds that are equal"),
    ] {
        let error = refusal(bounds, SMALL, spherical);
        assert!(error.contains(words), "{bounds:?}: {error}");
    }
}

#[test]
fn a_grid_of_a_million_million_cells_is_two_axes_and_a_longer_one_is_refused() {
    let million = 1_000_000;
    let grid = shape([0.0, 0.0, 1.0, 1.0], million, million, Registration::Gridline);
    assert_eq!(Targets::Grid(grid).cells(), 1_000_000_000_000);
    for nx in [LONGEST_AXIS + 1, u64::MAX] {
        let error = refusal([0.0, 0.0, 1.0, 1.0], Size::Shape { nx, ny: 1 }, true);
        assert!(error.contains("columns are more than the limit of 10000000"), "{error}");
    }
    let error = refusal([0.0, 0.0, 1.0, 1.0], Size::Shape { nx: 0, ny: 1 }, true);
    assert!(error.contains("0 columns"), "{error}");
}

#[test]
fn registrations_are_known_by_name() {
    for registration in Registration::ALL {
        assert_eq!(registration.name().parse(), Ok(registration));
    }
    assert!("centre".parse::<Registration>().is_err());
}

#[test]
fn a_single_node_is_where_linspace_puts_it() {
    let grid = shape([2.0, 3.0, 4.0, 3.0], 1, 1, Registration::Gridline);
    assert_eq!((grid.x(), grid.y()), (&[2.0][..], &[3.0][..]));
    assert_eq!(shape([2.0, 3.0, 4.0, 5.0], 1, 1, Registration::Pixel).x(), [3.0]);
}

proptest! {
    #[test]
    fn axes_are_strictly_monotonic_and_nodes_lie_within_their_cells(
        west in -180.0..360.0_f64, east in -180.0..360.0_f64,
        south in -90.0..90.0_f64, north in -90.0..90.0_f64,
        nx in 2..400_u64, ny in 2..400_u64, pixel: bool,
    ) {
        let registration = if pixel { Registration::Pixel } else { Registration::Gridline };
        let size = Size::Shape { nx, ny };
        let Ok(grid) = Grid::from_bounds([west, south, east, north], size, registration, true)
        else { return Ok(()) };
        prop_assert!(grid.x().windows(2).all(|w| w[0] < w[1]));
        let sign = (north - south).signum();
        prop_assert!(grid.y().windows(2).all(|w| sign * w[0] < sign * w[1]));
        for (axis, edges) in [(grid.x(), grid.x_edges()), (grid.y(), grid.y_edges())] {
            prop_assert_eq!(edges.len(), axis.len() + 1);
            for (i, &node) in axis.iter().enumerate() {
                let (low, high) = (edges[i].min(edges[i + 1]), edges[i].max(edges[i + 1]));
                prop_assert!((low..=high).contains(&node));
            }
        }
    }
}
