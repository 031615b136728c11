//! Whole stacks of code without frame pointers.

use std::path::Path;
use std::process::Stdio;

use flame_tests::machine::{Machine, measured, skip};
use flame_tests::seen::{Stack, percent};
use flame_tests::{Flame, Guarded, Seen, Workload};

/// What a distribution compiles with.
const WITHOUT_FRAMES: &[&str] = &["-O2", "-g", "-fomit-frame-pointer"];
/// Where a process's first thread and the others begin.
const ROOTS: [&str; 5] = ["_start", "__clone3", "clone3", "__clone", "clone"];

/// How many percent of the samples begin at a root.
fn rooted(seen: &Seen) -> f64 {
    let begins = |stack: &Stack| stack.user().first().is_some_and(|name| ROOTS.contains(name));
    let share = percent(seen.only(begins).count(), seen.count());
    measured(&format!("{share:.2} % of {} samples reach the root", seen.count()));
    share
}

fn known_chain() -> Workload {
    Workload::c_with("known_chain", WITHOUT_FRAMES)
}

#[test]
fn every_stack_of_a_known_program_is_whole_from_its_first_instruction_on() {
    let Some(_machine) = Machine::take() else { return };
    let workload = known_chain();
    let outcome = Flame::record(&["-F", "499", "--", workload.path(), "5"]).run().with_code(0);
    let seen = outcome.seen();
    // Before the program runs and after its memory is gone there is no stack to see.
    let own = seen.only(|stack| !stack.has("do_exit") && !stack.has("__x64_sys_execve"));
    assert!(rooted(&own) > 99.5, "{}", seen.shown());
    for (through, end) in [
        (&["chain_a", "chain_b", "chain_c"][..], "burn_chain"),
        (&["with_alloca"], "burn_alloca"),
        (&["sort"], "burn_callback"),
        (&["raise_one"], "burn_signal"),
        (&["start_thread", "thread"], "burn_thread"),
    ] {
        let burning = seen.only(|stack| stack.user().last() == Some(&end));
        let whole = burning.share_through(through);
        assert!(burning.count() > 5, "{} samples in {end}", burning.count());
        assert!(whole > 99.0, "{whole:.2} % of {end} through {through:?}:\n{}", burning.shown());
        assert!(rooted(&burning) > 99.0, "{end}:\n{}", burning.shown());
    }
}

#[test]
fn a_deep_recursion_has_all_its_frames() {
    let Some(_machine) = Machine::take() else { return };
    let workload = known_chain();
    let outcome = Flame::record(&["-F", "499", "--", workload.path(), "3"]).run().with_code(0);
    let deep = outcome.seen().only(|stack| stack.user().last() == Some(&"burn_deep"));
    assert!(deep.count() > 5);
    let whole = deep.only(|stack| {
        let frames = stack.user();
        frames.iter().filter(|name| **name == "recurse").count() == 91
    });
    let share = percent(whole.count(), deep.count());
    assert!(share > 99.0, "{share:.2} % have 91 frames:\n{}", deep.shown());
}

#[test]
fn a_signal_handler_stands_on_what_it_interrupted_and_a_callback_on_its_library() {
    let Some(_machine) = Machine::take() else { return };
    let workload = known_chain();
    let seen = Flame::record(&["-F", "499", "--", workload.path(), "3"]).run().with_code(0).seen();
    let order = |stack: &Stack, names: [&str; 3]| {
        let frames = stack.user();
        let places = names.map(|name| frames.iter().position(|frame| *frame == name));
        places[0].is_some() && places.is_sorted() && places[1] > places[0].map(|at| at + 1)
    };
    let signal = seen.only(|stack| order(stack, ["raise_one", "handler", "burn_signal"]));
    let callback = seen.only(|stack| order(stack, ["sort", "compare", "burn_callback"]));
    assert!(signal.share_of("handler") > 99.0 && signal.count() > 5, "{}", seen.shown());
    assert!(callback.share_of("compare") > 99.0 && callback.count() > 5, "{}", seen.shown());
}

#[test]
fn a_process_that_ran_before_has_whole_stacks() {
    let Some(_machine) = Machine::take() else { return };
    let workload = known_chain();
    let mut running = workload.command(&["60"]).spawn().expect("start the workload");
    let pid = running.id().to_string();
    let seen = Flame::attach(&["-F", "499", "-d", "2s", "--pid", &pid]).run().with_code(0).seen();
    running.kill().expect("end the workload");
    running.wait().expect("wait for the workload");
    assert!(seen.count() > 100, "{} samples", seen.count());
    assert!(rooted(&seen) > 99.5, "{}", seen.shown());
}

#[test]
fn processes_of_one_program_that_ran_before_are_all_walked_in_the_kernel() {
    let Some(_machine) = Machine::take() else { return };
    let workload = known_chain();
    let run = || Guarded::spawn(workload.command(&["60"]).stdout(Stdio::null()));
    let processes = [run(), run(), run()];
    let pids = processes.each_ref().map(|process| process.pid().to_string());
    let chosen = pids.each_ref().map(|pid| ["--pid", pid]).concat();
    let options = [&["-t", "cpu", "-F", "499", "-d", "3s"][..], &chosen].concat();
    let seen = Flame::attach(&options).run().with_code(0).seen();
    assert!(seen.count() > 1000, "{}", seen.shown());
    assert!(rooted(&seen) > 99.0, "{}", seen.shown());
    // A copy of the stack is ten times as dear. Each piece of code needs a few.
    let finished = seen.told("user stacks finished in user space");
    let share = percent(finished, seen.count());
    measured(&format!("{share:.1} % of the stacks were copied"));
    assert!(share < 10.0, "{finished} of {} stacks were copied", seen.count());
}

#[test]
fn a_distributions_python_has_whole_stacks() {
    let Some(_machine) = Machine::take() else { return };
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        skip("needs a distribution's python3");
        return;
    }
    let program =
        "import json\nfor i in range(400): json.loads(json.dumps([list(range(99))] * 99))";
    let seen = Flame::record(&["-F", "499", "--", python, "-c", program]).run().with_code(0).seen();
    let own = seen.only(|stack| !stack.has("do_exit") && !stack.has("__x64_sys_execve"));
    assert!(rooted(&own) > 99.0, "{}", own.shown());
}

/// The running kernel, as far as it has a name of two numbers.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's name");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[test]
fn a_probe_of_a_functions_return_does_not_cut_stacks() {
    let Some(_machine) = Machine::take() else { return };
    if kernel() < (6, 6) {
        skip("needs Linux 6.6, to probe allocators");
        return;
    }
    let workload = Workload::c_with("allocates", WITHOUT_FRAMES);
    // Many calls are sampled, each of which has the kernel wait for its return.
    let arguments = ["-F", "999", "--heap-interval", "2048", "--heap-mode", "exact"];
    let command = ["--", workload.path(), "2000"];
    let seen = Flame::record(&[&arguments[..], &command].concat()).run().with_code(0).seen();
    let inside =
        seen.only(|stack| stack.has("uprobe_notify_resume") || stack.has("[return probe]"));
    let whole = inside.only(|stack| stack.has("many") && stack.has("main")).count();
    let share = percent(whole, inside.count());
    measured(&format!("{share:.2} % of {} samples at probes are whole", inside.count()));
    assert!(inside.count() > 20, "{}", seen.shown());
    assert!(share > 97.0, "{}", inside.only(|stack| !stack.has("main")).shown());
}

#[test]
fn what_a_process_does_at_its_end_has_the_stack_that_it_left_with() {
    let Some(_machine) = Machine::take() else { return };
    if kernel() < (6, 16) {
        skip("needs Linux 6.16, which tells of the end of a thread before its memory goes");
        return;
    }
    let workload = Workload::c_with("leaves", WITHOUT_FRAMES);
    let outcome = Flame::record(&["-F", "999", "--", workload.path(), "512"]).run().with_code(0);
    let seen = outcome.seen();
    // The memory that goes when the program is begun is that of who began it.
    let is_its = |stack: &Stack| stack.comm == "leaves" && !stack.has("begin_new_exec");
    let ending = seen.only(|stack| stack.has("exit_mmap") && is_its(stack));
    let whole = ending.only(|stack| stack.has("leave") && stack.has("main")).count();
    measured(&format!("{whole} of {} samples of its end are whole", ending.count()));
    assert!(ending.count() > 5, "{}", seen.shown());
    assert_eq!(whole, ending.count(), "{}", ending.shown());
}
