//! Memory as the system counts it: of the process, and of its control group.

use isopleth_engine::machine;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Figures that are looked up when they are asked for; −1 where the system does not say.
#[derive(Debug, Default)]
pub(super) struct Memory {
    resident: Gauge,
    peak: Gauge,
    proportional: Gauge,
    group: Gauge,
    group_peak: Gauge,
    group_limit: Gauge,
    limit_reached: Gauge,
    killed: Gauge,
}

impl Memory {
    pub(super) fn register(&self, registry: &mut Registry) {
        let figures = [
            ("isopleth_memory_resident_bytes", "Resident memory (VmRSS)", &self.resident),
            ("isopleth_memory_peak_bytes", "Most resident memory so far (VmHWM)", &self.peak),
            ("isopleth_memory_proportional_bytes", "Proportional memory (PSS)", &self.proportional),
            (
                "isopleth_group_memory_bytes",
                "Memory of the control group, file cache included",
                &self.group,
            ),
            (
                "isopleth_group_memory_peak_bytes",
                "Most memory of the control group so far",
                &self.group_peak,
            ),
            ("isopleth_memory_limit_bytes", "Memory that the process may use", &self.group_limit),
            (
                "isopleth_group_limit_reached",
                "Times that the control group was at its limit",
                &self.limit_reached,
            ),
            ("isopleth_group_killed", "Processes killed at that limit", &self.killed),
        ];
        for (name, help, gauge) in figures {
            registry.register(name, help, gauge.clone());
        }
    }

    pub(super) fn look(&self, resident: u64, peak: u64) {
        let group = machine::group_memory();
        let of_group = |figure: fn(machine::GroupMemory) -> Option<u64>| group.and_then(figure);
        for (gauge, figure) in [
            (&self.resident, Some(resident)),
            (&self.peak, Some(peak)),
            (&self.proportional, machine::proportional_bytes()),
            (&self.group, of_group(|group| Some(group.current_bytes))),
            (&self.group_peak, of_group(|group| group.peak_bytes)),
            (&self.group_limit, machine::memory_limit_bytes()),
            (&self.limit_reached, of_group(|group| group.limit_reached)),
            (&self.killed, of_group(|group| group.killed)),
        ] {
            gauge.set(figure.map_or(-1, |figure| i64::try_from(figure).unwrap_or(i64::MAX)));
        }
    }
}
