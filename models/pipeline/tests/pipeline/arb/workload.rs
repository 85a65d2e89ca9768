//! Workload of the client: two days of writes, two compactions, a backup's pin, and a stale worker.

use super::fixture::{ArbClient, DAYS, PROJECT, SECOND, event};
use bytes::Bytes;
use latent_pipeline::arb::api::{ArbError, ArbFailure, ArbRequest, ArbResponse};
use latent_pipeline::arb::manifest::Tier;
use latent_pipeline::arb::write_call::encode_write;
use latent_pipeline::compaction::plan::plan_day;
use latent_pipeline::config::CompactionConfig;
use latent_pipeline::record::Record;
use latent_pipeline::zone::Day;

/// Number of attempts of a failed call, ten seconds apart: longer than any fault of these tests lasts.
const MAX_ATTEMPTS: u32 = 12;

/// The whole workload. Ends when everything succeeded.
pub async fn run_workload(client: ArbClient) {
    let [first, second] = DAYS;
    client.write(&[(first, Tier::OnTime, 1..4)]).await;
    client.write(&[(first, Tier::Late, 4..6)]).await;
    client.write(&[(second, Tier::OnTime, 6..9)]).await;
    client.write(&[(first, Tier::OnTime, 9..13)]).await;
    client.compact().await;
    client.write(&[(first, Tier::Late, 13..15)]).await;
    client.write(&[(first, Tier::OnTime, 15..16), (second, Tier::Late, 16..18)]).await;
    client.compact().await;
    client.stale_token_is_refused().await;
    client.write(&[(first, Tier::Late, 18..19)]).await;
    client.back_up().await;
    client.write(&[(first, Tier::Late, 19..20), (first, Tier::OnTime, 20..21)]).await;
    client.compact().await;
    client.write(&[(second, Tier::OnTime, 21..22)]).await;
}

/// Number of events that the workload writes.
pub const EVENTS: usize = 21;

type DayPart = (Day, Tier, std::ops::Range<u64>);

impl ArbClient {
    /// Writes until answered `Written`; every attempt after the first skips present events. Reads after each attempt:
    /// an event that was returned once must stay, acknowledged or not.
    async fn write(&self, parts: &[DayPart]) {
        let events: Vec<(Day, Tier, Vec<Record>)> = parts
            .iter()
            .map(|(day, tier, range)| (*day, *tier, range.clone().map(event).collect()))
            .collect();
        for attempt in 0..MAX_ATTEMPTS {
            let days = events.iter().map(|(day, tier, records)| (*day, *tier, records.as_slice()));
            let write = encode_write(PROJECT, days, attempt > 0).unwrap();
            let answer = self.call_with_body(&write.call, write.body).await;
            if matches!(answer, Ok((ArbResponse::Written { .. }, _))) {
                let mut log = self.log.lock().unwrap();
                for (day, _, records) in &events {
                    log.written.entry(*day).or_default().extend(records.iter().map(|r| r.arrival));
                }
                return;
            }
            for (day, ..) in parts {
                // A failed read returns nothing; the next one will.
                drop(self.read(*day).await);
            }
            self.sleep(10 * SECOND).await;
        }
        panic!("a write never came through: {:?}", self.log.lock().unwrap().failures);
    }

    async fn lease(&self) -> Result<u64, ArbError> {
        let (answer, _) = self
            .call_with_body(&ArbRequest::Lease { project: PROJECT, for_ms: 60_000 }, Bytes::new())
            .await?;
        let ArbResponse::Leased { token } = answer else { panic!("the only worker got {answer:?}") };
        self.log.lock().unwrap().tokens.push(token);
        Ok(token)
    }

    /// A nightly job, retried until it ends.
    async fn compact(&self) {
        for _ in 0..MAX_ATTEMPTS {
            if self.job().await.is_ok() {
                return;
            }
            self.sleep(10 * SECOND).await;
        }
        panic!("a job never ended: {:?}", self.log.lock().unwrap().failures);
    }

    async fn job(&self) -> Result<(), ArbError> {
        let config = CompactionConfig { two_runs_from_events: 5, ..CompactionConfig::default() };
        let token = self.lease().await?;
        let ask = ArbRequest::Days { project: PROJECT, dirty_only: true };
        let (ArbResponse::Days(days), _) = self.call_with_body(&ask, Bytes::new()).await? else { panic!() };
        for day in days {
            let mut live: Vec<u64> =
                day.files.iter().filter(|f| f.tier == Tier::Compacted).map(|f| f.id).collect();
            for run in plan_day(&day.files, &config) {
                let keep = live.iter().copied().filter(|id| !run.inputs.contains(id)).collect();
                let request =
                    ArbRequest::Run { project: PROJECT, day: day.day, token, inputs: run.inputs, keep };
                let (ArbResponse::RunCommitted { compacted }, _) =
                    self.call_with_body(&request, Bytes::new()).await?
                else {
                    panic!()
                };
                live = compacted;
                self.log.lock().unwrap().runs += 1;
            }
        }
        Ok(())
    }

    /// A worker that lost its lease during the merge must not commit.
    async fn stale_token_is_refused(&self) {
        for _ in 0..MAX_ATTEMPTS {
            let (Ok(stale), Ok(_)) = (self.lease().await, self.lease().await) else {
                self.sleep(10 * SECOND).await;
                continue;
            };
            let request = ArbRequest::Run {
                project: PROJECT,
                day: DAYS[0],
                token: stale,
                inputs: vec![],
                keep: vec![],
            };
            match self.call_with_body(&request, Bytes::new()).await {
                Err(ArbError::Failed(ArbFailure::StaleToken { given, .. })) => {
                    assert_eq!(given, stale);
                    return;
                }
                Ok(answer) => panic!("a stale token was taken: {answer:?}"),
                // A crash or an I/O error came between.
                Err(_) => self.sleep(10 * SECOND).await,
            }
        }
        panic!("a stale token was never refused: {:?}", self.log.lock().unwrap().failures);
    }

    async fn back_up(&self) {
        for _ in 0..MAX_ATTEMPTS {
            if self.pin_and_fetch().await.is_ok() {
                return;
            }
            self.sleep(10 * SECOND).await;
        }
        panic!("a backup never ended: {:?}", self.log.lock().unwrap().failures);
    }

    /// Every file that a pin lists can be fetched and matches the listed hash.
    async fn pin_and_fetch(&self) -> Result<(), ArbError> {
        let pin = ArbRequest::Pin { project: PROJECT, for_ms: 600_000, arrived_before_ms: i64::MAX };
        let (ArbResponse::Days(days), _) = self.call_with_body(&pin, Bytes::new()).await? else { panic!() };
        assert_eq!(days.len(), 2);
        for day in days {
            assert!(day.files.iter().all(|file| file.sealed));
            for file in day.files {
                let fetch = ArbRequest::Fetch { project: PROJECT, day: day.day, id: file.id };
                let (_, bytes) = self.call_with_body(&fetch, Bytes::new()).await?;
                assert_eq!(blake3::hash(&bytes).to_hex().as_str(), file.hash);
            }
        }
        self.call_with_body(&ArbRequest::Unpin { project: PROJECT }, Bytes::new()).await?;
        Ok(())
    }
}
