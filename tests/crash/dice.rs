//! Random choices that can be repeated: the seed is printed, and `CALLBRIDGE_SEED` sets it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// xorshift64*: enough to choose moments.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as usize;
        let seed = crate::number("CALLBRIDGE_SEED", now % 1_000_000) as u64;
        println!("seed {seed}");
        Self::of(seed)
    }

    pub fn of(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.below((to - from) * 1000))
    }
}
