//! Exports that customers read.

use super::{ANSWER_TIMEOUT, CustomerClient};
use crate::marks;
use crate::mutex::lock;
use crate::observe::client_state::ExportResult;
use crate::plan::PlannedExport;
use bytes::Bytes;
use http::{Request, StatusCode};
use latent_pipeline::export::MAX_EXPORT_DAYS;
use latent_pipeline::zone::Day;
use latent_ports::{Clock, Env, Mark};
use latent_storekit::http_message::http_call;
use std::time::Duration;

impl CustomerClient {
    pub(super) async fn read_export(&self, export: &PlannedExport) {
        self.wait_until(export.at_ms).await;
        let at_ms = self.env.clock().wall().0;
        let body = self.read_pieces(export).await;
        self.env.mark(Mark { name: marks::CLIENT_EXPORTED, subject: "" });
        let days = export.from.0..=export.to.0;
        lock(&self.client_state.exports).push(ExportResult { project: export.project, at_ms, days, body });
    }

    async fn read_pieces(&self, export: &PlannedExport) -> Result<Bytes, String> {
        let mut lines = Vec::new();
        for (from, to) in pieces(export.from, export.to) {
            let project = export.project;
            let target = format!("/api/2.0/export?project_id={project}&from_date={from}&to_date={to}");
            lines.extend_from_slice(&self.read_piece(&target).await?);
        }
        Ok(lines.into())
    }

    async fn read_piece(&self, target: &str) -> Result<Bytes, String> {
        let mut body = Err("never asked".to_owned());
        for (turn, edge) in self.edges.iter().cycle().take(self.edges.len() * 2).enumerate() {
            let mut request =
                Request::get(target).body(Bytes::new()).expect("a target of digits and dates is valid");
            let basic = format!("Basic {}", basic_auth(&self.secret));
            request.headers_mut().insert("authorization", basic.parse().expect("base64 is visible ASCII"));
            body = match http_call(&self.env, *edge, request, ANSWER_TIMEOUT * 5).await {
                Ok(response) if response.status() == StatusCode::OK => Ok(response.into_body()),
                Ok(response) => Err(format!("status {}", response.status())),
                Err(error) => Err(error.to_string()),
            };
            if body.is_ok() {
                break;
            }
            self.env.clock().sleep(Duration::from_secs(30) * (turn as u32 + 1)).await;
        }
        body
    }
}

/// Splits the days of an export into the maximum that the API answers at a time.
fn pieces(from: Day, to: Day) -> impl Iterator<Item = (Day, Day)> {
    let firsts = (from.0..=to.0).step_by(MAX_EXPORT_DAYS as usize);
    firsts.map(move |first| (Day(first), Day(to.0.min(first + MAX_EXPORT_DAYS - 1))))
}

fn basic_auth(secret: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(format!("{secret}:"))
}
