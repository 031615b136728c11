//! The programs, what they are given to do, and what they need.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flame_tests::Workload;

/// A program.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Makes what it needs in a folder.
    make: fn(&Path) -> Result<Prepared, String>,
}

/// A program that is ready.
pub(super) struct Prepared {
    pub(super) command: Vec<String>,
    /// A shell script that gives a server its work and ends it.
    pub(super) load: Option<String>,
    pub(super) version: String,
}

impl Program {
    pub(super) fn prepare(&self, folder: &Path) -> Result<Prepared, String> {
        (self.make)(folder)
    }
}

/// All of them.
pub(super) fn all() -> Vec<Program> {
    let program = |name, make| Program { name, make };
    vec![
        program("known chain", known_chain),
        program("python3", python),
        program("redis-server", redis),
        program("node", node),
        program("cc1plus", cc1plus),
        program("sqlite3", sqlite),
        program("perl", perl),
        program("postgres", postgres),
        program("nginx", nginx),
        program("openssl speed", openssl),
        program("git", git),
        program("ffmpeg", ffmpeg),
        program("Rust, by lld", rust),
        program("Go", |folder| go(folder, "go", false)),
        program("Go, stripped", |folder| go(folder, "go", true)),
        program("Go 1.19", |folder| go(folder, "/usr/lib/go-1.19/bin/go", false)),
        program("Go 1.19, stripped", |folder| go(folder, "/usr/lib/go-1.19/bin/go", true)),
        program("musl, static", musl),
        program("chromium", chromium),
    ]
}

/// A program of the system, and not a wrapper in a user's PATH.
fn find(name: &str) -> Result<String, String> {
    let folders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/go/bin"];
    let paths = folders.map(|folder| Path::new(folder).join(name));
    let found = paths.iter().find(|path| path.exists());
    let found = found.or_else(|| Path::new(name).is_absolute().then_some(&paths[0]));
    let path = found.ok_or_else(|| format!("there is no {name} here"))?;
    Ok(path.display().to_string())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A program that runs to its end.
fn runs(command: &[&str], version: &[&str]) -> Prepared {
    Prepared { command: words(command), load: None, version: said(version) }
}

/// The first line that a command says.
fn said(command: &[&str]) -> String {
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().trim().to_owned()
}

fn build(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("run {command:?}: {error}"))?;
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {why}")) }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("write a program's input");
    path.display().to_string()
}

fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

fn known_chain(_: &Path) -> Result<Prepared, String> {
    let workload = Workload::c_with("known_chain", &["-O2", "-g", "-fomit-frame-pointer"]);
    Ok(runs(&[workload.path(), "8"], &["gcc", "--version"]))
}

fn python(folder: &Path) -> Result<Prepared, String> {
    let python = find("python3")?;
    let text = "import json, re, random, collections\n\
        class P:\n    def __init__(self, a): self.a = a\n    def __lt__(self, o): return self.a < o.a\n\
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n\
        for i in range(60):\n    data = [{'k%d' % j: [j, str(j)] for j in range(99)} for _ in range(30)]\n    \
        json.loads(json.dumps(data, sort_keys=True))\n    fib(17)\n    \
        sorted(P(random.random()) for _ in range(9000))\n    \
        re.sub(r'(a|b)+c', lambda m: m.group(0)[::-1], 'ababc xx' * 3000)\n    \
        collections.Counter(str(x % 97) for x in range(30000)).most_common(5)\n";
    Ok(runs(&[&python, &write(folder, "busy.py", text)], &[&python, "--version"]))
}

fn redis(folder: &Path) -> Result<Prepared, String> {
    let (server, bench, client) =
        (find("redis-server")?, find("redis-benchmark")?, find("redis-cli")?);
    let socket = folder.join("redis.socket").display().to_string();
    let mut prepared = runs(
        &[&server, "--port", "0", "--save", "", "--unixsocket", &socket],
        &[&server, "--version"],
    );
    prepared.load = Some(format!(
        "while [ ! -S {socket} ]; do sleep 0.05; done; \
         {bench} -s {socket} -q -n 100000 -t set,get,lpush,lrange_100,zadd,mset; \
         {client} -s {socket} shutdown nosave"
    ));
    Ok(prepared)
}

fn node(folder: &Path) -> Result<Prepared, String> {
    let (node, load) = (find("node")?, find("ab")?);
    let text = "const http = require('http');\n\
        function work(n) { let o = {}; for (let i = 0; i < n; i++) o['k' + i % 97] = [i, String(i)]; return JSON.stringify(o); }\n\
        http.createServer((q, r) => { if (q.url === '/quit') { r.end('bye'); setTimeout(() => process.exit(0), 50); return; }\n\
        const t = work(400) + q.url.split('/').map(x => x.replace(/(a|b)+/g, 'c')).join(); r.end(t); }).listen(18499, '127.0.0.1');\n";
    let script = write(folder, "server.js", text);
    let mut prepared = runs(&[&node, &script], &[&node, "--version"]);
    prepared.load = Some(format!(
        "i=0; until {load} -q -n 1 http://127.0.0.1:18499/ >/dev/null 2>&1; do sleep 0.1; i=$((i+1)); [ $i -lt 100 ] || exit 1; done; \
         {load} -q -n 20000 -c 10 -r http://127.0.0.1:18499/abab/xyz; {load} -q -n 1 http://127.0.0.1:18499/quit"
    ));
    Ok(prepared)
}

fn cc1plus(folder: &Path) -> Result<Prepared, String> {
    let gxx = find("g++")?;
    let mut text = String::from(
        "#include <algorithm>\n#include <functional>\n#include <iostream>\n#include <map>\n\
         #include <regex>\n#include <sstream>\n#include <string>\n#include <vector>\n",
    );
    for n in 0..40 {
        text.push_str(&format!(
            "int f{n}(std::vector<std::map<std::string, int>> &v) {{ std::map<int, std::function<int(int)>> m; \
             m[{n}] = [&](int x) {{ return x + (int)v.size(); }}; std::sort(v.begin(), v.end(), [](auto &a, auto &b) {{ return a.size() < b.size() + {n}; }}); \
             std::ostringstream s; for (auto &x : v) for (auto &y : x) s << y.first << y.second; return m[{n}](s.str().size()) + std::regex_match(s.str(), std::regex(\"a{n}+\")); }}\n"
        ));
    }
    let source = write(folder, "busy.cc", &text);
    Ok(runs(&[&gxx, "-O2", "-c", &source, "-o", "/dev/null"], &[&gxx, "--version"]))
}

fn sqlite(folder: &Path) -> Result<Prepared, String> {
    let sqlite = find("sqlite3")?;
    let text = "CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, s TEXT);\n\
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000)\n\
        INSERT INTO t SELECT i, (i * 7919) % 100003, printf('name %d', (i * 31) % 5003) FROM n;\n\
        CREATE INDEX tk ON t(k);\n\
        SELECT s, count(*), sum(k) FROM t GROUP BY s ORDER BY 3 DESC LIMIT 3;\n\
        SELECT count(*) FROM t a JOIN t b ON a.k = b.id WHERE a.id < 300000 AND b.s LIKE '%7%';\n";
    let script = write(folder, "busy.sql", text);
    Ok(runs(&[&sqlite, ":memory:", &format!(".read {script}")], &[&sqlite, "--version"]))
}

fn perl(folder: &Path) -> Result<Prepared, String> {
    let perl = find("perl")?;
    let text = "use strict; my %h; my $t = '';\n\
        for my $r (1..14) { for my $i (1..60000) { my $k = 'k' . ($i * 7919 % 10007); $h{$k} += $i; $t .= $k if $i % 50 == 0; }\n\
        my @s = sort { $h{$a} <=> $h{$b} || $a cmp $b } keys %h; (my $u = $t) =~ s/(k[0-4]+)/<$1>/g;\n\
        my $n = () = $t =~ /k\\d(\\d)\\1/g; $t = substr($u, 0, 20000); }\n";
    Ok(runs(&[&perl, &write(folder, "busy.pl", text)], &[&perl, "-e", "print $^V"]))
}

fn postgres(folder: &Path) -> Result<Prepared, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").map_err(|_| "there is no postgres here")?;
    let version = versions.flatten().next().ok_or("there is no postgres here")?;
    let bin = version.path().join("bin").display().to_string();
    let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
    let data = folder.join("postgres");
    fs::create_dir_all(&data).map_err(|error| error.to_string())?;
    build(Command::new("chown").arg("postgres:postgres").arg(&data))?;
    for folder in data.ancestors().skip(1).take_while(|folder| folder.starts_with("/tmp")) {
        // The server's user has to come through; a folder that is not ours lets it.
        let open = fs::Permissions::from_mode(0o711);
        if folder != Path::new("/tmp") {
            fs::set_permissions(folder, open).map_err(|error| error.to_string())?;
        }
    }
    let (at, sockets) = (data.join("data").display().to_string(), data.display().to_string());
    let mut init = Command::new(user[0]);
    build(init.args(&user[1..]).arg(format!("{bin}/initdb")).args(["-D", &at, "-A", "trust"]))?;
    let settings = format!("unix_socket_directories={sockets}");
    let server = format!("{bin}/postgres");
    let mut command = words(&user);
    command.extend(words(&[&server, "-D", &at, "-h", "", "-c", &settings, "-c", "fsync=off"]));
    let pgbench = format!("{bin}/pgbench -h {sockets} -U postgres");
    let load = format!(
        "i=0; until {bin}/pg_isready -q -h {sockets}; do sleep 0.1; i=$((i+1)); [ $i -lt 100 ] || exit 1; done; \
         {pgbench} -i -q -s 5 postgres && {pgbench} -c 3 -T 6 -n postgres; \
         {pgbench} -c 2 -T 3 -n -S -M prepared postgres; kill -INT $(head -1 {at}/postmaster.pid)"
    );
    Ok(Prepared { command, load: Some(load), version: said(&[&server, "--version"]) })
}

fn nginx(folder: &Path) -> Result<Prepared, String> {
    let (nginx, load) = (find("nginx")?, find("ab")?);
    write(folder, "page.html", &"<p>some text to be compressed and sent</p>\n".repeat(400));
    let at = folder.display();
    let text = format!(
        "daemon off;\nuser root;\nworker_processes 2;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
         events {{}}\nhttp {{\n access_log {at}/access.log;\n gzip on;\n gzip_types *;\n \
         server {{ listen 127.0.0.1:18498; root {at}; }}\n}}\n"
    );
    let settings = write(folder, "nginx.conf", &text);
    let mut prepared = runs(&[&nginx, "-c", &settings], &[&nginx, "-v"]);
    prepared.load = Some(format!(
        "i=0; until {load} -q -n 1 http://127.0.0.1:18498/page.html >/dev/null 2>&1; do sleep 0.1; i=$((i+1)); [ $i -lt 100 ] || exit 1; done; \
         {load} -q -n 20000 -c 10 -H 'Accept-Encoding: gzip' http://127.0.0.1:18498/page.html; \
         kill -QUIT $(cat {at}/nginx.pid)"
    ));
    Ok(prepared)
}

fn openssl(_: &Path) -> Result<Prepared, String> {
    let openssl = find("openssl")?;
    let of = |more: &[&str]| [&[&*openssl, "speed", "-seconds", "1"], more].concat().join(" ");
    let script = format!(
        "{}; {}",
        of(&["-bytes", "4096", "-evp", "aes-128-gcm"]),
        of(&["-bytes", "4096", "sha256", "rsa2048", "ecdhp256", "ed25519"]),
    );
    Ok(runs(&["sh", "-c", &script], &[&openssl, "version"]))
}

fn git(folder: &Path) -> Result<Prepared, String> {
    let git = find("git")?;
    let at = folder.join("repository").display().to_string();
    let text = "import sys\nout = sys.stdout\nfor n in range(1500):\n    \
        text = '\\n'.join('line %d of %d %d' % (i, n // 7 if i % 5 else n, i * n % 97) for i in range(400))\n    \
        out.write('commit refs/heads/main\\ncommitter A <a@b> %d +0000\\ndata 1\\nx\\n' % (1700000000 + n))\n    \
        out.write('M 644 inline file%d\\ndata %d\\n%s\\n' % (n % 20, len(text), text))\n";
    let script = write(folder, "history.py", text);
    let make = format!(
        "{git} init -q -b main {at} && python3 {script} | {git} -C {at} fast-import --quiet"
    );
    build(Command::new("sh").args(["-c", &make]))?;
    let script = format!(
        "{git} -C {at} log -p --stat -M main >/dev/null; {git} -C {at} gc -q --aggressive; \
         {git} -C {at} fsck; {git} -C {at} blame main -- file3 >/dev/null"
    );
    Ok(runs(&["sh", "-c", &script], &[&git, "--version"]))
}

fn ffmpeg(_: &Path) -> Result<Prepared, String> {
    let ffmpeg = find("ffmpeg")?;
    let source = "testsrc2=duration=8:size=960x540:rate=25";
    Ok(runs(
        &[
            &ffmpeg,
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            source,
            "-c:v",
            "libx264",
            "-f",
            "null",
            "-",
        ],
        &[&ffmpeg, "-version"],
    ))
}

fn rust(folder: &Path) -> Result<Prepared, String> {
    find("ld.lld")?;
    let program = folder.join("rust-lld").display().to_string();
    let source = workloads().join("rust/shares.rs");
    let options = ["-Copt-level=3", "-Clink-arg=-fuse-ld=lld", "--edition=2024", "-o", &program];
    build(Command::new("rustc").args(options).arg(source))?;
    Ok(runs(&[&program, "5000"], &["rustc", "--version"]))
}

fn go(folder: &Path, go: &str, stripped: bool) -> Result<Prepared, String> {
    let go = if Path::new(go).is_absolute() { go.to_owned() } else { find(go)? };
    if !Path::new(&go).exists() {
        return Err(format!("there is no {go} here"));
    }
    let number = said(&[&go, "version"]).split_whitespace().nth(2).unwrap_or_default().to_owned();
    let program = folder.join(format!("{number}{}", if stripped { "-stripped" } else { "" }));
    let program = program.display().to_string();
    let mut command = Command::new(&go);
    command.args(["build", "-o", &program]).arg(workloads().join("go/busy.go"));
    command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOCACHE", folder.join("cache"));
    build(&mut command)?;
    if stripped {
        fs::copy(&program, format!("{program}.symbols")).map_err(|error| error.to_string())?;
        build(Command::new("strip").arg(&program))?;
    }
    Ok(runs(&[&program], &[&go, "version"]))
}

fn musl(folder: &Path) -> Result<Prepared, String> {
    let gcc = find("musl-gcc")?;
    let program = folder.join("musl-static").display().to_string();
    let source = workloads().join("c/known_chain.c");
    let options = ["-O2", "-fomit-frame-pointer", "-static", "-o", &program];
    build(Command::new(&gcc).args(options).arg(source))?;
    Ok(runs(&[&program, "5"], &["dpkg-query", "-W", "-f", "musl ${Version}", "musl-tools"]))
}

fn chromium(folder: &Path) -> Result<Prepared, String> {
    let chromium = find("chromium")?;
    let text = "<body><div id=a></div><script>let s = 0, m = new Map();\n\
        for (let i = 0; i < 400000; i++) { m.set('k' + i % 997, [i]); s += m.size; }\n\
        for (let i = 0; i < 3000; i++) { let p = document.createElement('p'); p.textContent = 'x' + i; a.append(p); s += a.offsetHeight; }\n\
        document.title = s;</script></body>";
    let page = write(folder, "page-with-script.html", text);
    let profile = format!("--user-data-dir={}", folder.join("chromium").display());
    Ok(runs(
        &[&chromium, "--headless", "--no-sandbox", "--disable-gpu", &profile, "--dump-dom", &page],
        &[&chromium, "--version"],
    ))
}
