//! Time as a page of rules: the wall clock, the clock that nobody can set, and the time that is known to have passed.
//!
//! All in milliseconds; what is known moves on with the clock that nobody can set, so it is kept as the difference to that.

/// Less is no step.
pub const NO_STEP: i64 = 1000;
const TOLERANCE: i64 = 30_000;
const STEADY: i64 = 600_000;

#[derive(Clone, Debug)]
pub struct Time {
    pub wall: i64,
    pub boot: i64,
    known: Option<i64>,
    /// Where the wall clock stood when the agent last looked.
    seen: i64,
    steady_from: i64,
    jumped: bool,
}

impl Time {
    /// As the agent finds it when it first looks.
    pub fn new(wall: i64, boot: i64) -> Self {
        Self { wall, boot, known: None, seen: wall - boot, steady_from: boot + STEADY, jumped: false }
    }

    fn line(&self) -> i64 {
        self.wall - self.boot
    }

    /// The agent looks at the clocks.
    pub fn look(&mut self) {
        if self.line() - self.seen > NO_STEP {
            (self.steady_from, self.jumped) = (self.boot + STEADY, true);
        }
        self.seen = self.line();
        self.jumped &= self.boot < self.steady_from;
        let agrees = self.known.is_some_and(|known| self.line() <= known + TOLERANCE);
        if self.boot >= self.steady_from || (agrees && !self.jumped) {
            self.known = self.known.max(Some(self.line()));
        }
    }

    /// Whether the wall clock stands behind what is known to have passed.
    pub fn is_unproven(&self) -> bool {
        self.known.is_some_and(|known| self.line() < known - TOLERANCE)
    }

    /// The time that is known to have passed.
    pub fn known(&self) -> Option<i64> {
        let floor = self.known? + self.boot;
        Some(if self.is_unproven() { floor } else { floor.min(self.wall) })
    }

    /// Root takes the wall clock as right.
    pub fn accept(&mut self) {
        (self.known, self.steady_from) = (Some(self.line()), self.boot);
    }
}
