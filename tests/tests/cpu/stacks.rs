//! Stacks: their order, their inlined frames and their lines.

use flame_tests::machine::Machine;
use flame_tests::seen::percent;
use flame_tests::{Flame, Workload};

#[test]
fn stacks_are_whole_and_in_the_order_of_the_calls() {
    let Some(_machine) = Machine::take() else { return };
    let workload = Workload::c("shares");
    let outcome = Flame::record(&["-F", "499", "--", workload.path(), "1000"]).run().with_code(0);
    let seen = outcome.seen();
    let burning = seen.only(|stack| stack.has("spin"));
    for function in ["heavy", "middle", "light"] {
        let share = burning.share_ending(&["main", "rounds", function, "burn", "spin"]);
        assert!(share > 10.0, "{function} {share:.1} %:\n{}", seen.shown());
    }
    // Only a stack that was taken before a function has set up its frame may lack a caller.
    let whole = burning.share_through(&["main", "rounds"]);
    assert!(whole > 99.0, "{whole:.2} % of the stacks are whole:\n{}", seen.shown());
    assert!(seen.share_of("spin") > 95.0, "{}", seen.shown());
}

#[test]
fn inlined_functions_are_frames_with_the_lines_of_their_calls() {
    let Some(_machine) = Machine::take() else { return };
    let workload = Workload::c("inlined");
    let outcome = Flame::record(&["-F", "999", "--", workload.path(), "500"]).run().with_code(0);
    let seen = outcome.seen();
    let chain = ["main", "outer", "between", "innermost"];
    let share = seen.share_ending(&chain);
    assert!(share > 90.0, "{share:.1} % in {chain:?}:\n{}", seen.shown());
    let mut at_statement = 0;
    let inner = seen.only(|stack| stack.user().ends_with(&chain));
    for stack in &inner.stacks {
        let own = stack.frames.iter().filter(|frame| frame.file.ends_with("inlined.c"));
        let frames: Vec<_> = own.map(|frame| (frame.line, frame.inlined)).collect();
        let callers = ["plain call", "outer call", "inner call"].map(|m| workload.marked_line(m));
        let inlined = [false, false, true];
        assert_eq!(frames[..3], std::array::from_fn::<_, 3, _>(|i| (callers[i], inlined[i])));
        assert!(frames[3].1, "the innermost is inlined");
        if frames[3].0 == workload.marked_line("statement") {
            at_statement += stack.value;
        }
    }
    // The loop around the statement takes the rest.
    let share = percent(at_statement, inner.total());
    assert!(share > 80.0, "{share:.1} % on the statement's line");
}

#[test]
fn inlined_functions_can_be_left_out() {
    let Some(_machine) = Machine::take() else { return };
    let workload = Workload::c("inlined");
    let arguments = ["-F", "999", "--no-inline", "--", workload.path(), "500"];
    let seen = Flame::record(&arguments).run().with_code(0).seen();
    let share = seen.share_ending(&["main", "outer"]);
    assert!(share > 90.0, "{share:.1} %:\n{}", seen.shown());
    assert!(seen.frames().all(|frame| !frame.inlined));
}
