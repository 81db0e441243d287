//! A station without a reading is not another network: its weights follow from those of the whole
//! by a small correction, and the map is that of the stations that are left.

use isopleth_engine::kernels::evaluate::{Axis, Targets};
use isopleth_engine::kernels::{Error, Evaluator, Factor, Mat, Method, Metric, Par, Surface};

fn main() -> Result<(), Error> {
    let n = 120;
    let (lon, lat): (Vec<f64>, Vec<f64>) = (0..n)
        .map(|i| (100.0 + f64::from(i * 29 % 120) / 12.0, 30.0 + f64::from(i) / 15.0))
        .unzip();
    let reading = |i: usize| 40.0 + 10.0 * (lon[i] / 2.0).sin() + 3.0 * lat[i];
    let absent = |i: usize| i % 7 == 3;

    // The whole network, with NaN where a station is silent.
    let stations = Metric::Chordal.embed(&lon, &lat);
    let method = Method::default().resolve(&stations)?;
    let factor = Factor::new(&stations, &method, Par::Seq)?;
    let readings = Mat::from_fn(lon.len(), 1, |i, _| if absent(i) { f64::NAN } else { reading(i) });
    let fit = factor.fit(readings.as_ref(), Par::Seq)?;
    let whole = Surface::new(&stations, &method, factor.drift(), &fit.weights);

    // The network without them.
    let present: Vec<usize> = (0..lon.len()).filter(|&i| !absent(i)).collect();
    let fewer = stations.select(&present);
    let method = Method::default().resolve(&fewer)?;
    let factor = Factor::new(&fewer, &method, Par::Seq)?;
    let readings = Mat::from_fn(present.len(), 1, |i, _| reading(present[i]));
    let fit = factor.fit(readings.as_ref(), Par::Seq)?;
    let smaller = Surface::new(&fewer, &method, factor.drift(), &fit.weights);

    // Along a line across both.
    let places = Metric::Chordal.embed(
        &(0..100).map(|c| 100.0 + f64::from(c) / 10.0).collect::<Vec<_>>(),
        &vec![33.0; 100],
    );
    let axes = [0, 1, 2].map(|k| Axis::Each(places.axis(k)));
    let targets = Targets { axes: &axes, len: places.len() };
    let (mut a, mut b) = (vec![0.0; 100], vec![0.0; 100]);
    Evaluator::new().evaluate(&whole, targets, &mut a);
    Evaluator::new().evaluate(&smaller, targets, &mut b);
    let largest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!(
        "{} of {n} stations silent; largest difference {largest:.1e}",
        lon.len() - present.len()
    );
    assert!(largest < 1e-9, "both are the same map");
    Ok(())
}
