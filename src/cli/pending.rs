//! Interim.
pub(crate) mod app {
    #[derive(Debug)]
    pub(crate) struct RunOptions {
        pub(crate) config: std::path::PathBuf,
        pub(crate) workers: Option<usize>,
        pub(crate) state_dir: Option<std::path::PathBuf>,
    }
    pub(crate) fn run(_: RunOptions) -> Result<(), String> {
        Ok(())
    }
}
pub(crate) mod demo {
    #[derive(Debug)]
    pub(crate) enum Look {
        Terminal,
        Plain,
    }
    #[derive(Debug)]
    pub(crate) struct DemoOptions {
        pub(crate) headless: bool,
        pub(crate) fail: bool,
        pub(crate) port: Option<u16>,
        pub(crate) control_port: Option<u16>,
        pub(crate) requests_per_second: u32,
        pub(crate) step: std::time::Duration,
        pub(crate) workers: Option<usize>,
        pub(crate) look: Look,
    }
    #[derive(Debug)]
    pub(crate) enum DemoOutcome {
        Promoted,
        RolledBack,
        Interrupted,
    }
    pub(crate) async fn run(
        _: DemoOptions,
        _: &mut (dyn std::io::Write + Send),
    ) -> Result<DemoOutcome, std::io::Error> {
        Ok(DemoOutcome::Promoted)
    }
}
