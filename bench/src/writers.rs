//! Writers to a server, and before each the same transactions without one.

use clap::Args;
use load::{report::Report, server, writers};

use crate::bare;

/// How many writers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    writers: writers::Settings,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
    mut take: impl FnMut(Report),
) -> anyhow::Result<()> {
    let settings = &settings.writers;
    for &writers in &settings.writers {
        let folder = options.folder()?;
        take(bare::measure(
            folder.path(),
            writers,
            settings.text_bytes,
            settings.keys,
            settings.time(),
        )?);
        take(writers::measure(options, settings, writers).await?);
    }
    Ok(())
}
