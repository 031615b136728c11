//! Setting up a session, and the handle to one that runs.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flame_common::config::Config;
use flame_common::limits::{COPIES_A_SECOND, SLOTS};
use tokio::sync::{mpsc, oneshot, watch};

use super::cgroups::Cgroups;
use super::heap::{Heap, HeapOptions, Priced, refused_bytes};
use super::pipeline::{self, Control, Pipeline, Progress, Sources};
use super::target::Target;
use super::{ProfileType, Recording};
use crate::bpf::{
    Event, GrowthKernel, HeapKernel, LoadOptions, Loaded, Programs, SideBand, TableRoom,
    online_cpus, too_old,
};
use crate::error::{Error, ErrorKind};
use crate::priority::GiveWay;
use crate::process::{self, ProcessTable};
use crate::symbolize::Symbolizer;

/// How long loading the kernel programs waits for whoever wants the CPUs, at most.
const LOADING: Duration = Duration::from_millis(150);

/// How often targets are looked for, at most, until no more are found that began meanwhile.
const SEARCHES: usize = 4;

/// How often each CPU is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frequency(u32);

impl Frequency {
    /// Samples per second and CPU, 1 to 10 000; `None` for another number.
    pub const fn hz(hz: u32) -> Option<Self> {
        if hz >= 1 && hz <= 10_000 { Some(Self(hz)) } else { None }
    }

    /// Samples per second and CPU.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Nanoseconds between two samples of the clock of a CPU.
    pub const fn period_ns(self) -> u64 {
        1_000_000_000 / self.0 as u64
    }
}

impl Default for Frequency {
    /// 99 Hz: often enough, and not in step with what programs do each hundredth of a second.
    fn default() -> Self {
        Self(99)
    }
}

/// What a session does; see [`Session::builder`].
#[derive(Debug, Clone)]
pub struct SessionBuilder {
    pub(super) target: Target,
    pub(super) frequency: Frequency,
    pub(super) event: Event,
    pub(super) kernel_stacks: bool,
    pub(super) inlined: bool,
    pub(super) children: bool,
    pub(super) only_user: Option<u32>,
    pub(super) verbose: bool,
    pub(super) comments: Vec<String>,
    pub(super) per_process: bool,
    pub(super) profiles: Vec<ProfileType>,
    pub(super) heap: HeapOptions,
    pub(super) gives_way: bool,
}

/// A session that runs. Dropping it ends it without a profile.
#[derive(Debug)]
pub struct Session {
    control: mpsc::Sender<Control>,
    progress: watch::Receiver<Progress>,
    warnings: Vec<String>,
}

impl Session {
    /// A session of CPU samples of `target`, at 99 Hz, with kernel stacks, inlined functions and
    /// child processes.
    pub fn builder(target: Target) -> SessionBuilder {
        SessionBuilder {
            target,
            frequency: Frequency::default(),
            event: Event::CpuClock,
            kernel_stacks: true,
            inlined: true,
            children: true,
            only_user: None,
            verbose: false,
            comments: Vec::new(),
            per_process: false,
            profiles: vec![ProfileType::Cpu],
            heap: HeapOptions::default(),
            gives_way: false,
        }
    }

    /// What could not be done at the start, a line each: targets that are not there.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until every target process has ended; for ever if the target is no list of pids.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut progress = self.progress.clone();
        async move {
            // Without a pipeline there is nothing left to wait for.
            _ = progress.wait_for(|progress| progress.targets_ended).await;
        }
    }

    /// The profile up to now; the next one starts here.
    pub async fn rotate(&self) -> Result<Recording, Error> {
        self.ask(Control::Rotate).await
    }

    /// Ends the session and gives its profile.
    pub async fn stop(self) -> Result<Recording, Error> {
        self.ask(Control::Stop).await
    }

    async fn ask(
        &self,
        control: impl FnOnce(oneshot::Sender<Result<Recording>>) -> Control,
    ) -> Result<Recording, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.control.send(control(reply)).await;
        sent.ok().context("reach the session, which has ended")?;
        Ok(answer.await.context("wait for the session's profile")??)
    }
}

impl SessionBuilder {
    /// Sets how often each CPU is sampled.
    #[must_use]
    pub fn frequency(mut self, frequency: Frequency) -> Self {
        self.frequency = frequency;
        self
    }

    /// Sets what is sampled by.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    /// Whether kernel frames are taken.
    #[must_use]
    pub fn kernel_stacks(mut self, taken: bool) -> Self {
        self.kernel_stacks = taken;
        self
    }

    /// Whether inlined functions are frames of their own.
    #[must_use]
    pub fn inlined_functions(mut self, told_apart: bool) -> Self {
        self.inlined = told_apart;
        self
    }

    /// Whether the processes that targets start are targets too.
    #[must_use]
    pub fn children(mut self, followed: bool) -> Self {
        self.children = followed;
        self
    }

    /// Samples the processes of one user alone, and none that run with another's rights.
    #[must_use]
    pub fn only_user(mut self, uid: u32) -> Self {
        self.only_user = Some(uid);
        self
    }

    /// Whether the kernel programs pass on what they do, through the `log` crate.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// Whether each process gets a profile of its own as well.
    #[must_use]
    pub fn per_process(mut self, own_profiles: bool) -> Self {
        self.per_process = own_profiles;
        self
    }

    /// Sets what is profiled: CPU time alone, unless this says otherwise.
    #[must_use]
    pub fn profiles(mut self, profiles: impl Into<Vec<ProfileType>>) -> Self {
        self.profiles = profiles.into();
        self
    }

    /// Sets how allocations are sampled, where the heap is profiled.
    #[must_use]
    pub fn heap(mut self, options: HeapOptions) -> Self {
        self.heap = options;
        self
    }

    /// Whether this is profiled.
    pub(super) fn takes(&self, one: ProfileType) -> bool {
        self.profiles.contains(&one)
    }

    /// Has all threads of this process give way while the kernel programs are loaded, and from the
    /// sampling's end on until the recording is dropped: for a process that does nothing else.
    #[must_use]
    pub(crate) fn give_way(mut self, gives_way: bool) -> Self {
        self.gives_way = gives_way;
        self
    }

    /// Adds a line to the profile's comments.
    #[must_use]
    pub fn comment(mut self, line: impl Into<String>) -> Self {
        self.comments.push(line.into());
        self
    }

    /// Loads the kernel programs and starts sampling. When it returns, every target is sampled.
    ///
    /// Fails with [`ErrorKind::NoTarget`] if no target is there, with [`ErrorKind::Permission`]
    /// without the rights to load programs, and with [`ErrorKind::KernelTooOld`] on a kernel that is.
    /// Runs on a tokio runtime.
    #[expect(clippy::unused_async, reason = "needs a runtime, and may come to wait for it")]
    pub async fn start(self) -> Result<Session, Error> {
        if self.profiles.is_empty() {
            return Err(anyhow::anyhow!("nothing is to be profiled").into());
        }
        if self.target.is_empty() {
            let error = anyhow::anyhow!("no process, name or cgroup was given");
            return Err(Error::new(ErrorKind::NoTarget, error));
        }
        let (targets, mut warnings) = self.find_targets();
        if targets.is_empty() && self.target.can_end() {
            let reason = anyhow::anyhow!(warnings.join("; "));
            return Err(Error::new(ErrorKind::NoTarget, reason));
        }
        let mut pipeline = self.set_up(&targets).map_err(refused)?;
        let (control, requests) = mpsc::channel(4);
        let (progress, seen) = watch::channel(Progress::default());
        warnings.extend(pipeline.gone(&targets));
        if self.target.can_end()
            && warnings.len() >= self.target.pids.len()
            && !pipeline.any_alive()
        {
            let reason = anyhow::anyhow!(warnings.join("; "));
            return Err(Error::new(ErrorKind::NoTarget, reason));
        }
        tokio::spawn(pipeline.run(requests, progress));
        Ok(Session { control, progress: seen, warnings })
    }

    /// The pids to profile that are there, and a line for each that is not.
    fn find_targets(&self) -> (Vec<u32>, Vec<String>) {
        let mut warnings = Vec::new();
        let mut targets = Vec::new();
        for &pid in &self.target.pids {
            let problem = if process::process_name(pid).is_none() {
                Some(format!("there is no process {pid}"))
            } else if process::kernel_thread(pid) {
                Some(format!("process {pid} is a kernel thread, which --all alone profiles"))
            } else {
                self.only_user.filter(|&uid| process::owner(pid) != Some(uid)).map(|_| {
                    format!("process {pid} belongs to another user; run flame as root for it")
                })
            };
            match problem {
                Some(problem) => warnings.push(problem),
                None => targets.push(pid),
            }
        }
        targets.extend(self.target.named_pids());
        if self.children {
            let children = process::descendants(&targets);
            targets.extend(children);
        }
        targets.sort_unstable();
        targets.dedup();
        (targets, warnings)
    }

    fn set_up(&self, targets: &[u32]) -> Result<Pipeline> {
        let cpus = online_cpus()?;
        let config = self.config(&cpus)?;
        // First the records, so that no change of a process is missed; then the samples.
        let side_band = SideBand::open(&cpus).context("open the kernel's process records")?;
        let options = LoadOptions {
            config,
            names: self.target.names.clone(),
            tables: if self.target.all { TableRoom::ALL } else { TableRoom::CHOSEN },
            cpu: self.takes(ProfileType::Cpu),
            heap: self.takes(ProfileType::Heap) && self.heap.mode.probes(),
            heap_kernel: self.heap.as_kernel,
            growth: self.takes(ProfileType::Heap) && self.heap.mode.takes_growth(),
        };
        let way = self.gives_way.then(|| GiveWay::all_for_at_most(LOADING));
        let Loaded { mut programs, samples, tables, heap, growth } = Programs::load(options)?;
        drop(way);
        let every_process = self.target.all || !self.target.cgroups.is_empty();
        let names = self.target.names.iter().cloned().collect();
        let mut processes = ProcessTable::new(every_process, names);
        if !self.children {
            processes.leave_out_children();
        }
        self.add_targets(targets, &mut programs, &mut processes)?;
        let symbolizer = Symbolizer::start(self.inlined)?;
        let heap = self.takes(ProfileType::Heap).then(|| {
            let heap = self.set_up_heap(&mut programs, (heap, growth), every_process);
            let mut heap = heap.map_err(|error| format!("{error:#}"))?;
            heap.probe_now(&mut processes);
            Ok(heap)
        });
        if self.takes(ProfileType::Cpu) {
            programs.start_sampling(self.event, self.frequency.get().into(), &cpus)?;
        }
        let sources = Sources { programs, samples, side_band, tables, heap };
        Pipeline::new(self.clone(), cpus.len(), sources, processes, symbolizer)
    }

    /// Makes processes targets, and those that they started, or that took a name asked for, since they
    /// were looked for: from here on the kernel programs see to it.
    fn add_targets(
        &self,
        targets: &[u32],
        programs: &mut Programs,
        processes: &mut ProcessTable,
    ) -> Result<()> {
        let mut known = HashSet::new();
        let mut found = targets.to_vec();
        for _ in 0..SEARCHES {
            found.retain(|&pid| known.insert(pid));
            if found.is_empty() {
                break;
            }
            for &pid in &found {
                programs.add_target(pid)?;
                processes.add_running(pid);
            }
            found = self.find_targets().0;
        }
        Ok(())
    }

    /// The heap's part, with as much as could be had; the other profiles go on without it.
    fn set_up_heap(
        &self,
        programs: &mut Programs,
        (probes, growth): (Option<Result<HeapKernel>>, Option<Result<GrowthKernel>>),
        every_process: bool,
    ) -> Result<Heap> {
        let Target { cgroups, pids, names, .. } = &self.target;
        let has_others = !pids.is_empty() || !names.is_empty();
        if has_others && !cgroups.is_empty() {
            bail!(
                "of a cgroup and of other processes at once there is no heap profile: take them apart"
            );
        }
        let mut failures = Vec::new();
        let growth = growth.and_then(|opened| opened.map_err(|why| failures.push(why)).ok());
        let probes = probes.and_then(|loaded| loaded.map_err(|why| failures.push(why)).ok());
        if growth.is_none() && probes.is_none() {
            return Err(failures.pop().context("nothing of the heap was asked for")?);
        }
        let probes = probes.map(|kernel| Priced::measure(kernel, programs)).transpose()?;
        let cgroups = Cgroups::find(&self.target.cgroups)?;
        let mut heap = Heap::new(self.heap.clone(), probes, growth, every_process, cgroups)?;
        for why in failures {
            heap.fail(format!("{why:#}"));
        }
        Ok(heap)
    }

    fn config(&self, cpus: &[u32]) -> Result<Config> {
        let mut config = Config {
            follow_children: self.children.into(),
            kernel_stacks: self.kernel_stacks.into(),
            verbose: self.verbose.into(),
            tell_begun: self.takes(ProfileType::Heap).into(),
            ring_bytes: ring_bytes(self.frequency, cpus.len(), self.takes(ProfileType::Heap)),
            slots: slots(self.frequency),
            remember_by: [random_odd(), random_odd()],
            refused_bytes: refused_bytes(),
            ..Config::default()
        };
        if let Some(uid) = self.only_user {
            (config.only_uid, config.uid) = (1, uid);
        }
        config.pid_namespace_inode = pid_namespace()?;
        self.target.configure(&mut config)?;
        Ok(config)
    }
}

/// Inode number of flame's pid namespace; 0 for the machine's own.
fn pid_namespace() -> Result<u32> {
    /// The machine's own (`PROC_PID_INIT_INO` in `include/linux/proc_ns.h`).
    const INITIAL: u64 = 0xefff_fffc;
    let path = "/proc/self/ns/pid";
    let inode = fs::metadata(path).with_context(|| format!("look at {path}"))?.ino();
    Ok(if inode == INITIAL { 0 } else { inode as u32 })
}

/// Bytes of stack that are copied as a rule: few stacks are deeper.
const USUAL_COPY: u64 = 16 << 10;

/// Room for the samples of a second at 1 KiB each, and for the stacks that each CPU may copy in a
/// tenth of it, and for a burst of allocations; a power of two from 256 KiB to 64 MiB.
fn ring_bytes(frequency: Frequency, cpus: usize, heap: bool) -> u32 {
    let hz = u64::from(frequency.get());
    let copies = hz.min(COPIES_A_SECOND.into()) * USUAL_COPY / 10;
    let allocations = if heap { 4 << 20 } else { 0 };
    let second = (hz * 1024 + copies) * cpus as u64 + allocations;
    second.next_power_of_two().clamp(256 << 10, 64 << 20) as u32
}

/// Room for what each CPU's clock takes between two looks, twice: what comes when a look is late goes
/// into the ring.
fn slots(frequency: Frequency) -> u32 {
    let between = Duration::from_nanos(frequency.period_ns());
    let looks = pipeline::TICK.as_nanos() / between.as_nanos().max(1);
    (2 * looks as u32).next_power_of_two().clamp(16, SLOTS)
}

/// A random odd number, by the keys that the standard library takes from the system.
fn random_odd() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

/// Why a session could not be set up. Old kernels refuse the programs with long tales; some have
/// what is needed from later ones, so that trying comes first.
fn refused(error: anyhow::Error) -> Error {
    match too_old() {
        Some(reason) => Error::new(ErrorKind::KernelTooOld, anyhow::anyhow!(reason)),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_have_bounds() {
        assert_eq!(Frequency::hz(0), None);
        assert_eq!(Frequency::hz(10_001), None);
        assert_eq!(Frequency::hz(10_000).map(Frequency::period_ns), Some(100_000));
        assert_eq!(Frequency::default().get(), 99);
    }

    #[test]
    fn the_ring_grows_with_the_rate_and_has_bounds() {
        let hz = |hz| Frequency::hz(hz).expect("a frequency");
        assert_eq!(ring_bytes(hz(1), 1, false), 256 << 10);
        assert_eq!(ring_bytes(hz(999), 4, false), 16 << 20);
        assert_eq!(ring_bytes(hz(10_000), 512, false), 64 << 20);
        assert_eq!(ring_bytes(hz(1), 1, true), 8 << 20);
        assert_eq!([1, 99, 999, 10_000].map(|rate| slots(hz(rate))), [16, 16, 128, 1024]);
    }
}
