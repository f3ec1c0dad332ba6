use super::*;
use crate::gather::Shape;
use crate::ledger::Ledger;
use crate::stats::CommandStats;

fn new_line() -> (Line, Taken) {
    let session = Session::new(1, String::new(), String::new(), 0);
    let counter = CommandStats::default().counter("get");
    let taken = Taken {
        counter,
        since_us: 0,
        bytes: 256,
        expected: 0,
        era: None,
    };
    (
        Line::new(
            session,
            Mark::default(),
            Ledger::new(&std::sync::Arc::new(kora_mesh::Budget::new(1 << 30)), 1).open(),
        ),
        taken,
    )
}

fn drained(line: &mut Line) -> String {
    let mut out = BytesMut::new();
    line.drain(1 << 20, &mut out);
    String::from_utf8(out.to_vec()).expect("replies are ASCII here")
}

fn fill(line: &mut Line, sequence: u32, number: i64) {
    drop(line.take_gather(sequence));
    line.fill(sequence, Reply::Integer(number));
}

#[test]
fn replies_leave_together_when_what_is_missing_comes_in_a_moment() {
    let (mut line, taken) = new_line();
    line.seat_reply(Reply::Integer(1), taken);
    let brief = line.take_seat(Gather::One(Shape::Whole), taken);
    assert!(!line.has_ready());
    assert_eq!(drained(&mut line), "");
    line.seat_reply(Reply::Integer(3), taken);
    fill(&mut line, brief, 2);
    assert!(line.has_ready());
    assert_eq!(drained(&mut line), ":1\r\n:2\r\n:3\r\n");
}

#[test]
fn no_reply_waits_for_what_may_take_long() {
    let (mut line, taken) = new_line();
    line.seat_reply(Reply::Integer(1), taken);
    let long = line.take_seat(Gather::Creating, taken);
    assert_eq!(drained(&mut line), ":1\r\n");
    let brief = line.take_seat(Gather::One(Shape::Whole), taken);
    fill(&mut line, long, 2);
    // Now only what is brief is missing.
    assert!(!line.has_ready());
    fill(&mut line, brief, 3);
    assert_eq!(drained(&mut line), ":2\r\n:3\r\n");
}

#[test]
fn much_is_not_held_back() {
    let (mut line, taken) = new_line();
    line.seat_reply(Reply::Bulk(vec![b'x'; HELD_BACK_BYTES_MAX].into()), taken);
    let _brief = line.take_seat(Gather::One(Shape::Whole), taken);
    assert!(line.has_ready());
    assert!(drained(&mut line).len() > HELD_BACK_BYTES_MAX);
}

#[test]
fn who_is_killed_by_another_is_not_heard_again_for_leaving_by_itself() {
    let (mut line, taken) = new_line();
    line.seat_reply(Reply::Integer(1), taken);
    let brief = line.take_seat(Gather::One(Shape::Whole), taken);
    line.set_presence(Presence::Killed);
    fill(&mut line, brief, 2);
    line.set_presence(Presence::Leaving);
    assert_eq!(line.presence(), Presence::Killed);
    assert_eq!(drained(&mut line), "");
}
