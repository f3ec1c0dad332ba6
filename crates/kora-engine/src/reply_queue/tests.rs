use super::*;
use crate::gather::Shape;
use crate::ledger::Ledger;
use crate::stats::CommandStats;

fn new_reply_queue() -> (ReplyQueue, Taken) {
    let session = Session::new(1, String::new(), String::new(), 0);
    let counter = CommandStats::default().counter("get");
    let taken = Taken {
        trail: NO_TRAIL,
        route: Route::Here,
        counter,
        since_us: 0,
        bytes: 256,
        expected: 0,
        epoch: None,
    };
    (
        ReplyQueue::new(
            session,
            KillFlag::default(),
            Ledger::new(&Arc::new(kora_mesh::Budget::new(1 << 30)), 1).open(),
        ),
        taken,
    )
}

fn drained(reply_queue: &mut ReplyQueue) -> String {
    let mut out = BytesMut::new();
    reply_queue.drain(1 << 20, &mut out);
    String::from_utf8(out.to_vec()).expect("replies are ASCII here")
}

fn fill(reply_queue: &mut ReplyQueue, sequence: u32, number: i64) {
    drop(reply_queue.take_gather(sequence));
    reply_queue.fill(sequence, Reply::Integer(number));
}

#[test]
fn replies_leave_together_when_what_is_missing_comes_in_a_moment() {
    let (mut reply_queue, taken) = new_reply_queue();
    reply_queue.put_reply(Reply::Integer(1), taken);
    let brief = reply_queue.take_slot(Gather::One(Shape::Whole), taken);
    assert!(!reply_queue.has_ready());
    assert_eq!(drained(&mut reply_queue), "");
    reply_queue.put_reply(Reply::Integer(3), taken);
    fill(&mut reply_queue, brief, 2);
    assert!(reply_queue.has_ready());
    assert_eq!(drained(&mut reply_queue), ":1\r\n:2\r\n:3\r\n");
}

#[test]
fn no_reply_waits_for_what_may_take_long() {
    let (mut reply_queue, taken) = new_reply_queue();
    reply_queue.put_reply(Reply::Integer(1), taken);
    let long = reply_queue.take_slot(Gather::Creating, taken);
    assert_eq!(drained(&mut reply_queue), ":1\r\n");
    let brief = reply_queue.take_slot(Gather::One(Shape::Whole), taken);
    fill(&mut reply_queue, long, 2);
    // Now only what is brief is missing.
    assert!(!reply_queue.has_ready());
    fill(&mut reply_queue, brief, 3);
    assert_eq!(drained(&mut reply_queue), ":2\r\n:3\r\n");
}

#[test]
fn much_is_not_held_back() {
    let (mut reply_queue, taken) = new_reply_queue();
    reply_queue.put_reply(Reply::Bulk(vec![b'x'; HELD_BACK_BYTES_MAX].into()), taken);
    let _brief = reply_queue.take_slot(Gather::One(Shape::Whole), taken);
    assert!(reply_queue.has_ready());
    assert!(drained(&mut reply_queue).len() > HELD_BACK_BYTES_MAX);
}

#[test]
fn who_is_killed_by_another_is_not_heard_again_for_leaving_by_itself() {
    let (mut reply_queue, taken) = new_reply_queue();
    reply_queue.put_reply(Reply::Integer(1), taken);
    let brief = reply_queue.take_slot(Gather::One(Shape::Whole), taken);
    reply_queue.set_presence(Presence::Killed);
    fill(&mut reply_queue, brief, 2);
    reply_queue.set_presence(Presence::Leaving);
    assert_eq!(reply_queue.presence(), Presence::Killed);
    assert_eq!(drained(&mut reply_queue), "");
}
