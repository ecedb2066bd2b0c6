//! Whether there is another way out of the router, before somebody restarts a modem.

use std::fs;
use std::path::Path;

/// Where the kernel shows its IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// What would be cut off.
#[derive(Debug, thiserror::Error)]
#[error("{0} may be the only way out of this router, and its modem restarts: use --force")]
pub struct OnlyWayOut(String);

/// Looks for a default route by another interface than `interface`.
///
/// # Errors
/// When there is none.
pub fn ensure_other(interface: &str) -> Result<(), OnlyWayOut> {
    if has_other(Path::new(ROUTES), interface) { Ok(()) } else { Err(OnlyWayOut(interface.to_owned())) }
}

fn has_other(routes: &Path, interface: &str) -> bool {
    let text = fs::read_to_string(routes).unwrap_or_default();
    text.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace();
        let (device, destination) = (fields.next(), fields.next());
        let mask = fields.nth(5);
        device.is_some_and(|device| device != interface)
            && (destination, mask) == (Some("00000000"), Some("00000000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_default_route_of_another_interface_is_another_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("route");
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let check = |rows: &str| {
            fs::write(&file, format!("{head}{rows}")).unwrap();
            has_other(&file, "wwan0")
        };
        assert!(!check("wwan0\t00000000\t00000000\t0001\t0\t0\t300\t00000000\t0\t0\t0\n"));
        assert!(!check("eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"));
        assert!(check("eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"));
        assert!(!check(""));
    }
}
