use super::*;

const DOWN: Direction = Direction::Download;
const UP: Direction = Direction::Upload;

fn ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * STEP_NS)
}

fn mbps(rate: u64) -> Bitrate {
    Bitrate::from_mbps(rate)
}

fn line(down: u64, up: u64) -> Line {
    Line::new(&LineSetup::new(mbps(down), mbps(up)))
}

#[test]
fn paced_upload_fills_the_fifo_as_r_over_c_minus_one() {
    let mut line = line(100, 12);
    line.set_shaper(UP, mbps(30));
    line.set_stream(UP, mbps(40));
    line.advance(ms(100));
    let early = line.fifo_delay(UP).as_secs_f64();
    line.advance(ms(500));
    let slope = (line.fifo_delay(UP).as_secs_f64() - early) / 0.4;
    assert!((slope - 1.5).abs() < 0.01, "dq/dt = {slope}, R/C - 1 = 1.5");
    // And it drains only while R < C: in q·C/(C − R).
    line.set_shaper(UP, mbps(6));
    let full = line.fifo_delay(UP).as_secs_f64();
    line.advance(ms(500 + 200));
    let drained = full - line.fifo_delay(UP).as_secs_f64();
    assert!((drained - 0.1).abs() < 0.01, "half the capacity drains half a second per second: {drained}");
}

#[test]
fn a_step_below_a_fixed_shaper_fills_the_buffer() {
    for direction in Direction::BOTH {
        let mut setup = LineSetup::new(mbps(30), mbps(30));
        for leg in &mut setup.legs {
            leg.fifo_bytes = 1_500_000;
            leg.trace = vec![(ms(10_000), mbps(12))];
        }
        let mut line = Line::new(&setup);
        line.set_shaper(direction, mbps(28));
        line.set_flows(direction, 4);
        let (mut before, mut peak) = (0.0_f64, 0.0_f64);
        for t in 5_000..25_000 {
            line.advance(ms(t));
            let delay = line.fifo_delay(direction).as_secs_f64();
            if t < 10_000 { before = before.max(delay) } else { peak = peak.max(delay) }
        }
        assert!(before < 0.05, "{direction:?} before: {before}");
        assert!((0.85..1.02).contains(&peak), "{direction:?} peak: {peak}");
    }
}

#[test]
fn a_shaper_below_capacity_keeps_delay_low_and_the_line_busy() {
    for (direction, flows) in [(DOWN, 1), (DOWN, 4), (UP, 1), (UP, 4), (DOWN, 16)] {
        let mut line = line(50, 50);
        line.set_shaper(direction, mbps(40));
        line.set_flows(direction, flows);
        line.advance(ms(5_000));
        let before = line.totals(direction).carried;
        let (mut sum, mut own) = (0.0, 0.0);
        for t in 5_000..25_000 {
            line.advance(ms(t));
            sum += line.fifo_delay(direction).as_secs_f64();
            own += line.shaper_delay(direction).as_secs_f64();
        }
        let use_of_shaper = (line.totals(direction).carried - before) * 8.0 / 40e6 / 20.0;
        let (fifo, own) = (sum / 20_000.0, own / 20_000.0);
        assert!(use_of_shaper > 0.9, "{direction:?} {flows}: {use_of_shaper}");
        assert!(fifo < 0.004, "{direction:?} {flows}: mean delay of the FIFO {fifo} s");
        assert!(own < 0.02, "{direction:?} {flows}: mean delay of CAKE {own} s");
    }
}

#[test]
fn unshaped_transfers_fill_the_fifo_and_the_line() {
    for flows in [1, 4] {
        let mut line = line(20, 5);
        line.set_flows(DOWN, flows);
        line.advance(ms(10_000));
        let before = line.totals(DOWN);
        let mut sum = 0.0;
        for t in 10_000..40_000 {
            line.advance(ms(t));
            sum += line.fifo_delay(DOWN).as_secs_f64();
        }
        let after = line.totals(DOWN);
        let utilisation = (after.carried - before.carried) / (after.possible - before.possible);
        assert!(utilisation > 0.98, "{flows}: {utilisation}");
        assert!(sum / 30_000.0 > 0.4, "{flows}: bufferbloat of {} s", sum / 30_000.0);
        assert!(after.overflowed > 0.0);
    }
}

#[test]
fn a_place_in_the_queue_is_kept_exactly() {
    let mut line = line(100, 10);
    line.set_shaper(UP, mbps(20));
    line.set_stream(UP, mbps(20));
    line.advance(ms(300));
    // 300 ms at twice the capacity: 300 ms of queue.
    let Entry::Waits(place) = line.enter(UP, ms(300)) else { panic!("no queue") };
    // Half way through the capacity is halved: 150 ms + 300 ms.
    line.advance(ms(450));
    line.set_capacity(UP, mbps(5));
    let mut t = 450;
    let left = loop {
        if let Some(at) = line.left(UP, place) {
            break at;
        }
        t += 1;
        line.advance(ms(t));
    };
    let wait = left.since(ms(300)).as_secs_f64();
    assert!((wait - 0.45).abs() < 0.002, "{wait}");
}

#[test]
fn an_idle_line_has_no_delay_and_counts_nothing() {
    let mut line = line(100, 10);
    line.advance(ms(3_600_000));
    assert_eq!(line.enter(UP, ms(3_600_000)), Entry::Passes);
    assert_eq!(line.take_traffic(UP), Traffic::default());
    line.set_connected(false);
    assert_eq!(line.enter(DOWN, ms(3_600_000)), Entry::Dropped);
}

#[test]
fn a_buffer_that_drops_in_front_keeps_the_freshest() {
    let run = |front| {
        let mut setup = LineSetup::new(mbps(20), mbps(10));
        setup.legs[1].drop_front = front;
        setup.legs[1].fifo_bytes = 250_000;
        let mut line = Line::new(&setup);
        line.set_stream(UP, mbps(15));
        line.advance(ms(2_000));
        let totals = line.totals(UP);
        assert!((line.fifo_delay(UP).as_secs_f64() - 0.2).abs() < 0.01, "full either way");
        assert!((totals.carried / totals.possible - 1.0).abs() < 0.01, "what was dropped was not carried: {totals:?}");
        // A packet that comes now: behind it nothing is dropped at the end, before it a third at the head.
        let Entry::Waits(place) = line.enter(UP, ms(2_000)) else { panic!("no queue") };
        let left = (2_001..).find_map(|t| {
            line.advance(ms(t));
            line.left(UP, place)
        });
        left.unwrap().since(ms(2_000)).as_secs_f64()
    };
    let (tail, front) = (run(false), run(true));
    assert!((tail - 0.2).abs() < 0.005, "{tail}");
    assert!((front - 0.2 * 10.0 / 15.0).abs() < 0.01, "{front}");
}

#[test]
fn random_loss_slows_a_transfer_down_as_its_square_root() {
    let rate = |loss| {
        let mut setup = LineSetup::new(mbps(1_000), mbps(100));
        setup.loss = loss;
        setup.base_rtt = Duration::from_millis(50);
        let mut line = Line::new(&setup);
        line.set_flows(DOWN, 1);
        line.advance(ms(120_000));
        line.totals(DOWN).delivered * 8.0 / 120.0
    };
    // Mathis: 1.22 · MTU / (RTT · √p) for Reno; CUBIC's friendly region is 1.3 times that at most.
    for loss in [0.001_f64, 0.004] {
        let mathis = 1.22 * MTU * 8.0 / (0.05 * loss.sqrt());
        let ratio = rate(loss) / mathis;
        assert!((0.7..1.5).contains(&ratio), "{loss}: {ratio}");
    }
    let mut line = line(10, 10);
    line.set_loss(0.3);
    let lost = (0..10_000).filter(|_| line.enter(UP, ms(0)) == Entry::Dropped).count();
    assert!((2_800..3_200).contains(&lost), "probes are lost as well: {lost}");
}

#[test]
fn a_bucket_lets_a_burst_through() {
    let burst = |bucket| {
        let mut setup = LineSetup::new(mbps(100), mbps(20));
        setup.bucket = bucket;
        let mut line = Line::new(&setup);
        line.set_shaper(UP, mbps(18));
        line.advance(ms(1_000));
        line.set_stream(UP, mbps(200));
        line.advance(ms(1_020));
        line.fifo_delay(UP).as_secs_f64()
    };
    assert!(burst(Duration::ZERO) < 0.001);
    // A tenth of a second of 18 Mbit/s, less what left in 20 ms.
    let delay = burst(Duration::from_millis(100));
    assert!((0.07..0.1).contains(&delay), "{delay}");
}

#[test]
fn pages_come_and_go() {
    let mut line = line(50, 10);
    line.set_pages(DOWN, 4.0);
    line.advance(ms(300_000));
    let totals = line.totals(DOWN);
    let rate = totals.delivered * 8.0 / 300.0;
    assert!((7e6..9e6).contains(&rate), "four of 250 kB a second are 8 Mbit/s: {rate}");
    line.set_pages(DOWN, 0.0);
    line.advance(ms(310_000));
    let end = line.totals(DOWN).delivered;
    line.advance(ms(320_000));
    assert_eq!(line.totals(DOWN).delivered, end, "they end");
}

#[test]
fn a_cake_that_knows_of_a_long_way_fills_the_line() {
    let used = |cake_rtt| {
        let mut setup = LineSetup::new(mbps(30), mbps(10));
        setup.base_rtt = Duration::from_millis(600);
        setup.cake_rtt = Duration::from_millis(cake_rtt);
        let mut line = Line::new(&setup);
        line.set_shaper(DOWN, mbps(28));
        line.set_flows(DOWN, 4);
        line.advance(ms(60_000));
        let before = line.totals(DOWN).delivered;
        line.advance(ms(240_000));
        (line.totals(DOWN).delivered - before) * 8.0 / 28e6 / 180.0
    };
    let (usual, told) = (used(100), used(600));
    assert!(told > usual && told > 0.9, "{usual} {told}");
}

#[test]
fn counters_agree_with_what_was_carried() {
    let mut line = line(50, 50);
    line.set_shaper(DOWN, mbps(40));
    line.set_flows(DOWN, 4);
    let mut bytes = 0;
    for t in (0..10_000).step_by(50) {
        line.advance(ms(t));
        bytes += line.take_traffic(DOWN).bytes;
    }
    let traffic = line.take_traffic(DOWN);
    let carried = line.totals(DOWN).carried;
    assert!((bytes as f64 - carried).abs() < 500_000.0, "{bytes} {carried}");
    assert!((30_000_000..41_000_000).contains(&traffic.rate_bps), "{traffic:?}");
}

#[test]
fn the_same_seed_gives_the_same_line() {
    let run = || {
        let mut line = line(20, 5);
        line.set_flows(DOWN, 8);
        line.set_flows(UP, 3);
        line.advance(ms(20_000));
        (line.totals(DOWN), line.totals(UP), line.fifo_delay(DOWN))
    };
    assert_eq!(run(), run());
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn speed() {
    for flows in [1, 4, 8] {
        let mut line = line(50, 20);
        line.set_shaper(DOWN, mbps(45));
        line.set_shaper(UP, mbps(18));
        line.set_flows(DOWN, flows);
        line.set_flows(UP, flows);
        let begin = std::time::Instant::now();
        line.advance(ms(600_000));
        println!("{flows}+{flows} flows: {:.0} x real time", 600.0 / begin.elapsed().as_secs_f64());
    }
}
