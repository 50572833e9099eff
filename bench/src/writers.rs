//! Writers to a server, and before each the same transactions without one.

use load::{
    report::Report,
    server,
    writers::{self, Settings},
};

use crate::bare;

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
    mut take: impl FnMut(Report),
) -> anyhow::Result<()> {
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
