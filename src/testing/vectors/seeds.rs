//! The tables as inputs of the fuzz targets.

use super::{answers, requests};

/// Inputs for a fuzz target, in its own format (`testing::fuzz` says which).
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let cut = |bytes: &[u8]| [&[7, 1], bytes].concat();
    match target {
        "request_head" | "server_connection" | "differential" => {
            requests().iter().map(|row| cut(&row.bytes)).collect()
        }
        "chunked_body" => {
            let rows = requests();
            let marker: &[u8] = b"transfer-encoding: chunked\r\n\r\n";
            let bodies = rows.iter().filter_map(|row| {
                let at = row
                    .bytes
                    .windows(marker.len())
                    .position(|it| it == marker)?;
                row.bytes.get(at + marker.len()..)
            });
            bodies.map(cut).collect()
        }
        "response_head" | "client_connection" => answers()
            .iter()
            .map(|row| {
                let choice = if row.method == "HEAD" { 2 } else { 0 };
                [&[7, 1, choice], &row.bytes[..]].concat()
            })
            .collect(),
        _ => Vec::new(),
    }
}
