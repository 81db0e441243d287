//! Progress on a terminal, silence in a pipe; the interrupt key.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use isopleth_engine::progress::Stage;
use isopleth_engine::{Cancel, Event};

use crate::failure::{Failure, io};

/// A bar on standard error; hidden where that is no terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{msg:11} {wide_bar} {percent:>3}% {human_pos}/{human_len} values, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn tell(&self, event: Event) {
        match event {
            Event::Began(stage) => self.0.set_message(match stage {
                Stage::Read => "reading",
                Stage::Choose => "choosing",
                Stage::Factorise => "factorising",
                Stage::Solve => "solving",
                Stage::Evaluate => "evaluating",
                Stage::Finish => "finishing",
            }),
            Event::Values { done, total } => {
                self.0.set_length(total);
                self.0.set_position(done);
            }
        }
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Stops the run at the first Ctrl-C or SIGTERM, the program at the second.
pub(crate) fn cancel_on_interrupt() -> Result<Cancel, Failure> {
    let cancel = Cancel::default();
    let (flag, asked) = (cancel.clone(), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        flag.cancel();
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(io)?;
    Ok(cancel)
}
