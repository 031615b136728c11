//! The `flame` command.
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: u32 = std::env::args().nth(1).unwrap().parse()?;
    let t = std::time::Instant::now();
    let session = flame::Session::builder(if pid == 0 {
        flame::Target::all()
    } else {
        flame::Target::pid(pid)
    })
    .frequency(flame::Frequency::hz(499).unwrap())
    .start()
    .await?;
    eprintln!("armed after {:?}", t.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let t = std::time::Instant::now();
    let r = session.stop().await?;
    eprintln!("stopped after {:?}", t.elapsed());
    for c in r.profile.comments() {
        println!("{c}");
    }
    let tree = flame::profile::tree::CallTree::build(
        &r.profile,
        flame::profile::tree::TreeOptions { sample_type: 1, by_process: true },
    );
    for h in flame::analyze::top(&r.profile, &tree).iter().take(12) {
        println!("{:?}", h);
    }
    Ok(())
}
