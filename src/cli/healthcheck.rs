//! `healthcheck`: whether a running service is ready, for a container's health. Quiet when it is.

use reqwest::Method;

use super::{
    client::Service,
    exit::{Exit, Failure},
};

/// Asks `readyz`.
///
/// # Errors
/// The service is not ready, or can't be reached.
pub async fn run(service: &Service) -> Result<Exit, Failure> {
    let (status, body) = service.ask(Method::GET, "/readyz", None).await?;
    if status.is_success() {
        return Ok(Exit::Done);
    }
    let problems = body["problems"].as_array().map(|problems| {
        problems.iter().filter_map(|problem| problem.as_str()).collect::<Vec<_>>().join("; ")
    });
    let message = problems.filter(|text| !text.is_empty()).unwrap_or("not ready".to_owned());
    Err(Failure::new(Exit::No, message))
}
