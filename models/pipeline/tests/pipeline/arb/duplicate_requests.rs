//! Requests that arrive twice: links duplicate messages, and workers retry.

use super::fixture::{ArbClient, SECOND, with_disk};
use latent_pipeline::arb::api::{ArbError, ArbRequest, ArbResponse};
use latent_pipeline::arb::manifest::Tier;
use latent_ports::Env;
use std::sync::{Arc, Mutex};

type Responses = Arc<Mutex<Vec<Result<ArbResponse, ArbError>>>>;

/// Sends one request twice concurrently, like a link that duplicates messages.
async fn send_twice(client: &ArbClient, request: &ArbRequest) -> Vec<Result<ArbResponse, ArbError>> {
    let answers: Responses = Arc::default();
    for _ in 0..2 {
        let (other, request, answers) = (client.clone(), request.clone(), answers.clone());
        client.env.spawn(async move {
            let answer = other.call(request).await;
            answers.lock().unwrap().push(answer);
        });
    }
    client.sleep(20 * SECOND).await;
    let answers = answers.lock().unwrap();
    answers.clone()
}

#[test]
fn a_run_requested_twice_concurrently_makes_one_output_and_the_next_run_loses_nothing() {
    for seed in 20..30 {
        with_disk(seed, None, async |arb| {
            let (answers, left) = arb
                .run("one", async |client| {
                    client.put(Tier::OnTime, 1..5).await.unwrap();
                    let request = client.plan_all().await;
                    let answers = send_twice(&client, &request).await;
                    let Some(Ok(ArbResponse::RunCommitted { compacted })) =
                        answers.iter().find(|a| a.is_ok()).cloned()
                    else {
                        panic!("neither ran: {answers:?}");
                    };
                    // The worker's next step: it keeps the outputs of the response.
                    client.put(Tier::Late, 5..9).await.unwrap();
                    let ArbRequest::Run { project, day, token, inputs, .. } = client.plan_all().await else {
                        panic!()
                    };
                    let inputs = inputs.into_iter().filter(|id| !compacted.contains(id)).collect();
                    let next = ArbRequest::Run { project, day, token, inputs, keep: compacted };
                    client.call(next).await.unwrap();
                    (answers, client.sequences().await)
                })
                .await;
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
            assert_eq!(left, (1..9).collect::<Vec<_>>(), "seed {seed}");
        });
    }
}
