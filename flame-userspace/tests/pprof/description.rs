//! A profile written out in full, without handles, so that profiles with differently ordered
//! tables can be compared.

use std::collections::BTreeMap;

use flame::profile::{Label, LabelValue, Line, Location, Mapping, Profile, SampleType};

/// All that a profile says.
#[derive(Debug, PartialEq)]
pub(crate) struct Description {
    pub(crate) sample_types: Vec<SampleType>,
    pub(crate) default: usize,
    pub(crate) period: (Option<SampleType>, i64),
    pub(crate) time: (i64, i64),
    pub(crate) comments: Vec<String>,
    pub(crate) mappings: Vec<String>,
    /// Values by stack (leaf first, a line each) and labels.
    pub(crate) samples: BTreeMap<String, Vec<i64>>,
}

impl Description {
    pub(crate) fn of(profile: &Profile) -> Self {
        Self {
            sample_types: profile.sample_types().to_vec(),
            default: profile.default_sample_type(),
            period: (profile.period_type().cloned(), profile.period()),
            time: (profile.time_ns(), profile.duration_ns()),
            comments: profile.comments().to_vec(),
            mappings: profile.mappings().iter().map(|row| mapping(profile, row)).collect(),
            samples: samples(profile),
        }
    }
}

/// Values by stack and labels, in full; the order of labels does not matter.
pub(crate) fn samples(profile: &Profile) -> BTreeMap<String, Vec<i64>> {
    let mut samples: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for sample in profile.samples() {
        let frames = profile.frames(sample.stack).map(|id| location(profile, profile.location(id)));
        let labels = profile.labels(sample.labels).iter().map(|row| label(profile, row));
        let mut labels: Vec<String> = labels.collect();
        labels.sort();
        let key: Vec<String> = frames.chain(labels).collect();
        let sums = samples.entry(key.join("\n")).or_insert_with(|| vec![0; sample.values.len()]);
        for (sum, value) in sums.iter_mut().zip(sample.values) {
            *sum += value;
        }
    }
    samples
}

fn location(profile: &Profile, location: &Location) -> String {
    let mapping = location.mapping.map(|id| mapping(profile, profile.mapping(id)));
    let lines: Vec<String> = location.lines.iter().map(|row| line(profile, row)).collect();
    format!("{:#x} in {mapping:?}: {lines:?}", location.address)
}

fn line(profile: &Profile, line: &Line) -> String {
    let function = profile.function(line.function);
    let texts = [function.name, function.system_name, function.file].map(|id| profile.string(id));
    let start = function.start_line;
    format!("{texts:?} from {start} at {}:{}", line.line, line.column)
}

fn mapping(profile: &Profile, mapping: &Mapping) -> String {
    let flags = [
        mapping.has_functions,
        mapping.has_filenames,
        mapping.has_line_numbers,
        mapping.has_inline_frames,
    ];
    format!(
        "{:#x}-{:#x}+{:#x} {:?} {:?} {flags:?}",
        mapping.start,
        mapping.limit,
        mapping.file_offset,
        profile.string(mapping.path),
        profile.string(mapping.build_id),
    )
}

fn label(profile: &Profile, label: &Label) -> String {
    let key = profile.string(label.key);
    match label.value {
        LabelValue::Text(text) => format!("{key:?} = {:?}", profile.string(text)),
        LabelValue::Number { value, unit } => {
            format!("{key:?} = {value} {:?}", profile.string(unit))
        }
    }
}
