//! What a Linux machine senses of its user: how long nobody has typed, what feeds it, in whose network it is.
// mission: P1, P2

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What was sensed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sensed {
    /// How long ago somebody typed at a terminal of this machine; none: there is no terminal.
    pub(super) idle: Option<Duration>,
    /// It has a battery: it is carried about.
    pub(super) battery: bool,
    /// It is fed from the mains.
    pub(super) mains: Option<bool>,
    /// Networks' interfaces that are up, the machine's own aside.
    pub(super) links: Vec<String>,
    /// The router of its network.
    pub(super) gateway: Option<Ipv4Addr>,
}

/// Looks, below this folder as if it were `/`.
pub(super) fn sense(root: &Path, now: SystemTime) -> Sensed {
    let mut sensed = Sensed { idle: idle(root, now), gateway: gateway(root), ..Sensed::default() };
    for supply in entries(&root.join("sys/class/power_supply")) {
        match word(&supply.join("type")).as_deref() {
            Some("Battery") => sensed.battery = true,
            Some(_) => {
                let online = word(&supply.join("online")).is_some_and(|online| online == "1");
                sensed.mains = Some(sensed.mains.unwrap_or_default() || online);
            }
            None => {}
        }
    }
    for link in entries(&root.join("sys/class/net")) {
        let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != "lo" && word(&link.join("operstate")).as_deref() == Some("up") {
            sensed.links.push(name);
        }
    }
    sensed.links.sort();
    sensed
}

/// Since the youngest access to a terminal: input is read from it.
fn idle(root: &Path, now: SystemTime) -> Option<Duration> {
    let dev = root.join("dev");
    let virtual_ones = entries(&dev).into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("tty").is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
    });
    let windows = entries(&dev.join("pts")).into_iter().filter(|path| !path.ends_with("ptmx"));
    let accessed = |path: std::path::PathBuf| fs::metadata(path).ok()?.accessed().ok();
    let newest = virtual_ones.chain(windows).filter_map(accessed).max()?;
    Some(now.duration_since(newest).unwrap_or_default())
}

/// The gateway of the default route.
fn gateway(root: &Path) -> Option<Ipv4Addr> {
    let table = fs::read_to_string(root.join("proc/net/route")).ok()?;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (to, by) = (fields.next()?, fields.next()?);
        let by = u32::from_str_radix(by, 16).ok()?;
        // The kernel writes addresses as they lie in memory.
        (to == "00000000" && by != 0).then(|| Ipv4Addr::from(by.to_ne_bytes()))
    })
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn word(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_what_it_senses() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let now = SystemTime::now() + Duration::from_secs(60);
        assert_eq!(sense(root.path(), now), Sensed::default());
        put("dev/pts/3", "");
        put("dev/pts/ptmx", "");
        put("dev/ttyS0", "");
        put("sys/class/power_supply/BAT0/type", "Battery\n");
        put("sys/class/power_supply/AC/type", "Mains\n");
        put("sys/class/power_supply/AC/online", "0\n");
        put("sys/class/net/lo/operstate", "up\n");
        put("sys/class/net/wlan0/operstate", "up\n");
        put("sys/class/net/eth0/operstate", "down\n");
        let by = u32::from_ne_bytes([192, 0, 2, 1]);
        put("proc/net/route", &format!("Iface Destination Gateway\nwlan0 00000000 {by:08X} 0003\n"));
        let sensed = sense(root.path(), now);
        assert!(sensed.idle.is_some_and(|idle| (50..70).contains(&idle.as_secs())), "{sensed:?}");
        assert_eq!((sensed.battery, sensed.mains), (true, Some(false)));
        assert_eq!(sensed.links, ["wlan0"]);
        assert_eq!(sensed.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
