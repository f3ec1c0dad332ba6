use bytes::Bytes;

use super::*;

fn ledger(limit: u64) -> Ledger {
    Ledger::new(&Arc::new(Budget::new(limit)), 1)
}

#[test]
fn the_sum_is_that_of_all_accounts_and_forgets_those_that_have_gone() {
    let ledger = ledger(1000);
    let (mut one, mut two) = (ledger.open(), ledger.open());
    one.set_buffers(300, 0);
    one.add(200);
    two.set_buffers(100, 0);
    one.set_buffers(50, 0);
    one.remove(150);
    assert_eq!((one.bytes(), two.bytes(), ledger.held()), (100, 100, 200));
    drop(one);
    assert_eq!(ledger.held(), 100);
    drop(two);
    assert_eq!(ledger.budget.taken(), 0);
}

#[test]
fn an_account_that_leaves_is_out_of_the_sum_and_goes_on_counting_for_itself() {
    let ledger = ledger(1000);
    let (mut one, two) = (ledger.open(), ledger.open());
    one.add(1200);
    one.expect(100);
    assert!(ledger.is_over());
    one.leave();
    assert_eq!((one.bytes(), ledger.held()), (1200, 0));
    one.remove(200);
    assert_eq!(ledger.sums.expected.get(), 100, "the shards go on gathering it");
    one.no_longer_expect(50);
    one.set_buffers(50, 0);
    drop(one);
    assert_eq!((two.bytes(), ledger.held(), ledger.sums.expected.get()), (0, 0, 0));
}

#[test]
fn large_replies_find_room_or_come_one_at_a_time_and_small_ones_always_come() {
    let ledger = ledger(1 << 20);
    let (mut one, mut two, mut three) = (ledger.open(), ledger.open(), ledger.open());
    let too_large = 10 << 20;
    assert!(one.has_room_for(too_large, true, 3), "no other account is in the way");
    one.expect(too_large);
    assert!(!two.has_room_for(too_large, true, 3) && !two.has_room_for(100 << 10, true, 3));
    assert!(two.has_room_for(1 << 10, false, 3));
    one.no_longer_expect(too_large);
    one.add(600 << 10);
    assert!(!two.has_room_for(too_large, true, 3), "what was replied is still held");
    one.remove(600 << 10);
    assert!(two.has_room_for(too_large, true, 3));
    two.reserve(300 << 10);
    assert!(three.has_room_for(400 << 10, true, 3) && !three.has_room_for(500 << 10, true, 3));
    assert!(two.take_reserved() && !two.take_reserved() && three.has_room_for(500 << 10, true, 3));
    three.expect(too_large);
    drop(three);
    assert!(two.has_room_for(too_large, true, 3));
}

#[test]
fn a_client_that_holds_much_stops_first() {
    let ledger = ledger(1 << 20);
    let (mut large, mut small) = (ledger.open(), ledger.open());
    large.set_buffers(800 << 10, 0);
    small.set_buffers(1 << 10, 0);
    assert!(!large.may_grow(2) && small.may_grow(2) && !ledger.is_over());
    assert!(large.may_begin(2), "what has arrived becomes less when it begins");
    large.set_buffers(0, 800 << 10);
    assert!(!large.may_begin(2) && small.may_begin(2));
    large.set_buffers(1 << 20, 0);
    large.add(1);
    assert!(ledger.is_over());
}

#[test]
fn all_workers_draw_on_one_budget() {
    let budget = Arc::new(Budget::new(64 << 20));
    let ledgers: Vec<Ledger> = (0..32).map(|_| Ledger::new(&budget, 32)).collect();
    let mut one = ledgers[0].open();
    assert!(one.may_arrive(40 << 20, 1), "however many workers there are");
    let mut other = ledgers[31].open();
    assert!(!other.may_arrive(40 << 20, 1) && other.may_grow(1));
    one.set_buffers(40 << 20, 0);
    assert!(one.may_arrive(0, 1));
    assert!(!other.may_arrive(40 << 20, 1) && !other.can_never_hold(40 << 20));
    drop(one);
    assert!(other.may_arrive(40 << 20, 1) && other.can_never_hold(65 << 20));
    drop(other);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn a_value_that_many_replies_share_counts_once() {
    let ledger = ledger(1 << 20);
    let (mut one, mut two) = (ledger.open(), ledger.open());
    let value = Bytes::from(vec![b'x'; 100_000]);
    let memory: Vec<ReplyMemory> = (0..3).map(|_| ReplyMemory::of(&Reply::Bulk(value.clone()))).collect();
    one.add_reply(&memory[0], 0);
    let own = one.bytes();
    assert!(own < 100 && ledger.held() == own + 100_000);
    one.add_reply(&memory[1], 0);
    two.add_reply(&memory[2], 0);
    assert_eq!(
        (ledger.held(), one.bytes_with_shared()),
        (3 * own + 100_000, 2 * own + 200_000)
    );
    one.remove_shared(&memory[0].shared);
    two.remove_shared(&memory[2].shared);
    assert_eq!(ledger.held(), 3 * own + 100_000);
    one.remove_shared(&memory[1].shared);
    assert_eq!(ledger.held(), 3 * own);
}

#[test]
fn a_client_that_authenticates_counts_with_the_others_from_then_on() {
    let (strangers, clients) = (ledger(1000), ledger(1000));
    let mut account = strangers.open();
    account.add(700);
    account.expect(30);
    account.join(&clients);
    assert!(account.is_in(&clients) && !account.is_in(&strangers));
    assert_eq!(
        (strangers.held(), strangers.budget.taken(), clients.held()),
        (0, 0, 700)
    );
    account.no_longer_expect(30);
    account.remove(700);
    drop(account);
    assert_eq!(clients.budget.taken(), 0);
}
