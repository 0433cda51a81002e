//! What is missing of a series: noted when a host skips it, and taken if it comes after all. However far a host once claimed to be, what it ships
//! later is stored.

use super::super::StoreError;
use super::super::db::{Tx, values};
use super::Batch;

/// The most gaps of a series. Beyond, the last one grows over what lies between: then it says where something is missing, and not exactly what.
const MOST: usize = 64;

/// The gaps of a series, the first one first.
#[derive(Debug)]
pub(super) struct Gaps(Vec<(i64, i64)>);

impl Gaps {
    pub(super) async fn read(tx: &mut Tx<'_>, batch: &Batch<'_>) -> Result<Self, StoreError> {
        let sql = "SELECT from_seq, to_seq FROM audit_gaps WHERE host = $1 AND series = $2 ORDER BY from_seq";
        let rows = tx.all(sql, &values![batch.host.as_str(), batch.series]).await?;
        let gaps = rows.iter().map(|row| Ok((row.int("from_seq")?, row.int("to_seq")?)));
        Ok(Self(gaps.collect::<Result<_, StoreError>>()?))
    }

    /// How far the series is stored without a gap that the host could fill: it still has the records from `oldest` on.
    pub(super) fn stored_to(&self, stored: i64, oldest: i64) -> i64 {
        let open = self.0.iter().find(|(_, to)| *to >= oldest);
        open.map_or(stored, |(from, _)| from - 1)
    }

    /// Notes that these are missing.
    pub(super) fn open(&mut self, from: i64, to: i64) {
        let full = self.0.len() >= MOST;
        match self.0.last_mut().filter(|_| full) {
            Some(last) => last.1 = to,
            None => self.0.push((from, to)),
        }
    }

    /// Notes that these have come. Says which of them were missing.
    pub(super) fn fill(&mut self, first: i64, last: i64) -> Vec<(i64, i64)> {
        let before = std::mem::take(&mut self.0);
        let is_hit = |(from, to): &(i64, i64)| *from <= last && first <= *to;
        let hit = before.iter().filter(|gap| is_hit(gap)).map(|(from, to)| (first.max(*from), last.min(*to))).collect();
        for gap in before {
            if !is_hit(&gap) {
                self.0.push(gap);
                continue;
            }
            let rest = [(gap.0, first - 1), (last + 1, gap.1)];
            self.0.extend(rest.into_iter().filter(|(from, to)| from <= to));
        }
        hit
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, batch: &Batch<'_>) -> Result<(), StoreError> {
        let (host, series) = (batch.host.as_str(), batch.series);
        tx.run("DELETE FROM audit_gaps WHERE host = $1 AND series = $2", &values![host, series]).await?;
        for (from, to) in &self.0 {
            let sql = "INSERT INTO audit_gaps (host, series, from_seq, to_seq) VALUES ($1, $2, $3, $4)";
            tx.run(sql, &values![host, series, *from, *to]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_filled_from_anywhere_and_says_where_to_go_on() {
        let mut gaps = Gaps(vec![]);
        assert_eq!(gaps.stored_to(3, 1), 3);
        gaps.open(4, i64::MAX - 2);
        assert_eq!(gaps.stored_to(i64::MAX - 1, 1), 3);
        assert_eq!(gaps.fill(2, 10), [(4, 10)]);
        assert_eq!(gaps.stored_to(i64::MAX - 1, 1), 10);
        assert_eq!(gaps.fill(20, 30), [(20, 30)]);
        assert_eq!(gaps.0, [(11, 19), (31, i64::MAX - 2)]);
        assert_eq!((gaps.fill(9, 25), gaps.fill(11, 19)), (vec![(11, 19)], vec![]));
        assert_eq!(gaps.stored_to(i64::MAX - 1, 1), 30);
        // What the host does not have any more it is not asked for.
        gaps.0 = vec![(4, 9)];
        assert_eq!((gaps.stored_to(12, 9), gaps.stored_to(12, 10)), (3, 12));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut gaps = Gaps(vec![]);
        for n in 0..1000 {
            gaps.open(n * 10, n * 10 + 5);
        }
        assert_eq!(gaps.0.len(), MOST);
        assert_eq!(gaps.0.last(), Some(&(630, 9995)));
    }
}
