//! Interim.
pub(crate) mod config {
    use crate::snapshot::Blueprint;
    use std::path::Path;
    #[derive(Debug)]
    pub(crate) struct Problems(Vec<String>);
    impl Problems {
        pub(crate) fn render(&self, _color: bool) -> String {
            self.0.join("\n")
        }
        pub(crate) fn iter(&self) -> std::slice::Iter<'_, String> {
            self.0.iter()
        }
        pub(crate) fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }
    #[derive(Debug)]
    pub(crate) struct Base(Problems);
    impl Base {
        pub(crate) fn load(path: &Path) -> Result<Self, Problems> {
            if path.exists() {
                Ok(Self(Problems(vec![])))
            } else {
                Err(Problems(vec!["none".into()]))
            }
        }
        pub(crate) fn warnings(&self) -> &Problems {
            &self.0
        }
        pub(crate) fn blueprint(&self, _: &crate::model::Overrides) -> Blueprint {
            Blueprint::default()
        }
    }
    pub(crate) fn schema_json() -> String {
        "{}".into()
    }
    pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
        text.strip_suffix('m')
            .and_then(|n| n.parse().ok())
            .map(|n: u64| std::time::Duration::from_secs(60 * n))
            .ok_or_else(|| "x".into())
    }
}
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
