//! A picture of correlation against distance as SVG: how many pairs, and their median.

use std::fmt::Write as _;

use crate::correlation::VariableCorrelation;

/// One panel.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;

/// Classes of correlation that are drawn.
const CORRELATIONS: usize = 50;

/// From few pairs to many: light to dark, told apart also without colours.
const COLOURS: [[f64; 3]; 4] =
    [[236.0, 240.0, 245.0], [158.0, 195.0, 222.0], [60.0, 122.0, 183.0], [14.0, 43.0, 92.0]];

/// A panel for each variable, one below another.
#[must_use]
pub fn correlation_svg(all: &[VariableCorrelation], unit: &str) -> String {
    let mut svg = String::new();
    let mut height = 0.0;
    for of in all {
        let _ = writeln!(svg, r#"<g transform="translate(0,{height})">"#);
        panel(&mut svg, of, unit);
        svg.push_str("</g>\n");
        height += HEIGHT;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n{svg}</svg>\n"
    )
}

fn panel(svg: &mut String, of: &VariableCorrelation, unit: &str) {
    let (bins, name) = (&of.bins, escape(&of.variable));
    let density = bins.density(CORRELATIONS);
    let lowest = lowest(&density);
    let across = |distance: f64| LEFT + (WIDTH - LEFT - RIGHT) * distance / bins.largest();
    let up = |r: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (r - lowest) / (1.0 - lowest);
    let _ = writeln!(
        svg,
        r#"<text x="{LEFT}" y="24" font-size="15">{name}: {} pairs of stations</text>"#,
        of.pairs
    );
    cells(svg, &density, bins.largest(), &across, &up);
    for r in ticks(lowest, 1.0) {
        let y = up(r);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}" stroke="#999" stroke-width="0.3"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"##,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            short(r)
        );
    }
    let floor = HEIGHT - BOTTOM;
    for distance in ticks(0.0, bins.largest()) {
        let x = across(distance);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" y1="{floor}" x2="{x:.1}" y2="{:.1}" stroke="#333"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"##,
            floor + 5.0,
            floor + 20.0,
            short(distance)
        );
    }
    let middle = |class: &crate::correlation_bins::ByDistance| {
        let x = across(0.5 * (class.distance[0] + class.distance[1]));
        format!("{x:.1},{:.1}", up(class.median))
    };
    let line: Vec<String> = bins.by_distance(30).iter().map(middle).collect();
    let _ = writeln!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="#d1470c" stroke-width="2.5"/>"##,
        line.join(" ")
    );
    let (right, unit) = (WIDTH - RIGHT, escape(unit));
    let _ = writeln!(
        svg,
        r##"<text x="{right}" y="24" text-anchor="end" fill="#d1470c">median</text><text x="{right}" y="{:.1}" text-anchor="end">distance{unit}</text><text transform="translate(16,{:.1}) rotate(-90)" text-anchor="middle">correlation</text>"##,
        HEIGHT - 10.0,
        0.5 * (TOP + floor)
    );
}

/// A rectangle for every class that holds a pair; how dark it is grows with the logarithm.
fn cells(
    svg: &mut String,
    density: &[Vec<u64>],
    largest: f64,
    across: &dyn Fn(f64) -> f64,
    up: &dyn Fn(f64) -> f64,
) {
    let most = density.iter().flatten().copied().max().unwrap_or(0).max(1);
    for (i, row) in density.iter().enumerate() {
        let x = [i, i + 1].map(|k| across(largest * share(k, density.len())));
        for (j, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let y = [j + 1, j].map(|k| up(2.0 * share(k, row.len()) - 1.0));
            let _ = writeln!(
                svg,
                r#"<rect x="{:.1}" y="{:.1}" width="{:.2}" height="{:.2}" fill="{}"/>"#,
                x[0],
                y[0],
                x[1] - x[0] + 0.05,
                y[1] - y[0] + 0.05,
                colour(logarithm(count) / logarithm(most).max(1.0))
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a colour")]
fn logarithm(count: u64) -> f64 {
    (count as f64 + 1.0).log2()
}

/// The lower end of the axis: a tick at or below all pairs.
fn lowest(density: &[Vec<u64>]) -> f64 {
    let classes = density.first().map_or(1, Vec::len);
    let first = (0..classes).find(|&j| density.iter().any(|row| row[j] > 0)).unwrap_or(0);
    ((2.0 * share(first, classes) - 1.0) * 5.0 + 1e-9).floor().min(0.0) / 5.0
}

fn colour(share: f64) -> String {
    let steps = COLOURS.len() - 1;
    let mut place = share.clamp(0.0, 1.0);
    let mut k = 0;
    let one = 1.0 / self::share(steps, 1);
    while place > one && k + 1 < steps {
        place -= one;
        k += 1;
    }
    let mix =
        |c: usize| COLOURS[k][c] + (COLOURS[k + 1][c] - COLOURS[k][c]) * (place / one).min(1.0);
    format!("rgb({:.0},{:.0},{:.0})", mix(0), mix(1), mix(2))
}

/// Round numbers from `low` to `high`, some five to ten.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|k| k * power).into_iter().find(|s| *s >= rough);
    let step = step.unwrap_or(10.0 * power);
    let mut ticks = Vec::new();
    let mut k = (low / step - 1e-9).ceil();
    while k * step <= high * (1.0 + 1e-9) {
        // Adding 0 makes −0 into 0.
        ticks.push(k * step + 0.0);
        k += 1.0;
    }
    ticks
}

fn short(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

#[expect(clippy::cast_precision_loss, reason = "some hundred classes")]
fn share(k: usize, of: usize) -> f64 {
    k as f64 / of as f64
}

/// Names come from files.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation_bins::Bins;

    #[test]
    fn a_picture_is_drawn_of_any_pairs_and_names_are_escaped() {
        let mut bins = Bins::new(1500.0);
        for k in 0..1000 {
            let distance = f64::from(k) * 1.5;
            bins.add(distance, (-distance / 500.0).exp());
        }
        let of = VariableCorrelation {
            variable: "a<b&c".to_owned(),
            pairs: 1000,
            too_few: 0,
            constant: 0,
            too_far: 0,
            bins,
        };
        let empty = VariableCorrelation { pairs: 0, bins: Bins::new(0.0), ..of.clone() };
        let svg = correlation_svg(&[of, empty], " (km)");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a&lt;b&amp;c") && !svg.contains("NaN") && !svg.contains("inf"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.matches("<rect").count() > 60);
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    }

    #[test]
    fn ticks_are_round_and_cover_the_axis() {
        assert_eq!(ticks(0.0, 1000.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(ticks(0.0, 813.7).into_iter().map(short).next().as_deref(), Some("0"));
        let r: Vec<String> = ticks(-0.6, 1.0).into_iter().map(short).collect();
        assert_eq!(r.first().map(String::as_str), Some("−0.5"));
        assert!(ticks(0.0, 7.3).len() >= 3);
    }
}
