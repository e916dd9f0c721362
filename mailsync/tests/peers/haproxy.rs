//! HAProxy before two of our servers, as an operator would put it: TLS ends there, the path `/sync` is cut off, requests go to the
//! servers in turn.

use super::{Process, free_port};
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A proxy that listens until dropped.
pub(crate) struct HaProxy {
    /// Where it speaks HTTP.
    pub(crate) http: SocketAddr,
    /// Where it speaks TLS.
    pub(crate) https: SocketAddr,
    process: Process,
}

impl HaProxy {
    /// Before these servers, with a chain and key in one file.
    pub(crate) fn start(dir: &Path, site: &Path, servers: &[&str]) -> HaProxy {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (http, https) = (at(free_port()), at(free_port()));
        let mut config = format!(
            "defaults\n  mode http\n  option redispatch 1\n  retries 2\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n\
             frontend web\n  bind {http}\n  bind {https} ssl crt {} alpn h2,http/1.1\n\
             \x20 http-request del-header X-Forwarded- -m beg\n  http-request del-header Forwarded\n\
             \x20 http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n\
             \x20 http-request set-header X-Forwarded-Host %[req.hdr(Host)]\n\
             \x20 http-request set-header X-Forwarded-Prefix /sync\n  option forwardfor\n\
             \x20 acl ours path_beg /sync/\n  http-request return status 404 unless ours\n\
             \x20 http-request set-path \"%[path,regsub(^/sync/?,/)]\"\n  default_backend ours\n\
             backend ours\n  balance roundrobin\n  option httpchk GET /healthz\n  http-check expect status 200\n\
             \x20 default-server check inter 200ms fall 2 rise 1\n",
            site.display()
        );
        for (number, server) in servers.iter().enumerate() {
            let _ = writeln!(config, "  server s{number} {server}");
        }
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let program = if Path::new("/usr/sbin/haproxy").exists() { "/usr/sbin/haproxy" } else { "haproxy" };
        let mut process = Process::start(Command::new(program).args(["-db", "-f"]).arg(&file));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(https).is_err() {
            assert!(process.is_running() && Instant::now() < deadline, "haproxy: {}", process.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        HaProxy { http, https, process }
    }
}
