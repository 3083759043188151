//! The list of instances, live: on a terminal it is drawn anew, elsewhere each change is another list.

use std::{collections::BTreeMap, time::Duration};

use claude_comms_client::v1;

use crate::{
    args::Format,
    context::{Context, expired, timed_out},
    exit::{Exit, Failure},
    output::{Ui, pool_views, views},
};

/// How often a terminal is drawn anew when nothing changes: times are told from now.
const REDRAW: Duration = Duration::from_secs(1);
/// The cursor goes to the top, and all behind it is cleared.
const TOP: &str = "\x1b[H\x1b[J";

pub(super) async fn watch(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let client = context.client.clone();
    let mut stream = context.patience.wait(client.watch_pool()).await?;
    let limit = context.patience.limit();
    let mut screen = Screen::default();
    let mut redraw = tokio::time::interval(REDRAW);
    redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    if context.ui.live && context.ui.format == Format::Table {
        context.ui.write("\x1b[2J")?;
    }
    loop {
        tokio::select! {
            snapshot = stream.next() => match snapshot {
                Some(snapshot) => screen.take(snapshot?, context.ui)?,
                None => return Ok(Exit::Done),
            },
            _ = redraw.tick(), if context.ui.live && context.ui.format == Format::Table && screen.complete => {
                screen.draw(context.ui)?;
            }
            () = context.patience.interrupted() => return Err(Failure::new(Exit::Interrupted, "")),
            () = expired(limit) => return Err(timed_out(limit)),
        }
    }
}

/// The pool as it is known.
#[derive(Debug, Default)]
struct Screen {
    instances: BTreeMap<String, v1::Instance>,
    counts: v1::PoolCounts,
    /// All messages of the last snapshot are here.
    complete: bool,
}

impl Screen {
    fn take(&mut self, snapshot: v1::PoolSnapshot, ui: &Ui) -> Result<(), Failure> {
        if ui.format != Format::Table {
            return ui.event(&snapshot);
        }
        // What follows within a full snapshot is full too.
        if snapshot.full && self.complete {
            self.instances.clear();
        }
        for id in &snapshot.removed_ids {
            self.instances.remove(id);
        }
        self.instances.extend(snapshot.instances.into_iter().map(|instance| (instance.id.clone(), instance)));
        self.counts = snapshot.counts.unwrap_or_default();
        self.complete = !snapshot.continues;
        if self.complete { self.draw(ui) } else { Ok(()) }
    }

    fn draw(&self, ui: &Ui) -> Result<(), Failure> {
        let instances: Vec<v1::Instance> = self.instances.values().cloned().collect();
        let (running, queued) = (self.counts.running_turns, self.counts.queued_turns);
        let states = pool_views::instance_counts(&self.counts);
        let states = if states.is_empty() { "no instance".to_owned() } else { states };
        let head = format!(
            "{states}; {} of {} slots; turns: {running} running, {queued} queued, {} completed, {} failed, {} cancelled\n",
            instances.len(),
            self.counts.slots,
            self.counts.completed_turns,
            self.counts.failed_turns,
            self.counts.cancelled_turns,
        );
        let (before, after) = if ui.live { (TOP, "") } else { ("", "\n") };
        let list = v1::ListInstancesResponse { instances, next_page_token: String::new() };
        ui.shown(&list, |paint, width| {
            format!("{before}{head}{}{after}", views::instances(&list.instances).render(paint, width))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(full: bool, ids: &[&str], removed: &[&str], continues: bool) -> v1::PoolSnapshot {
        v1::PoolSnapshot {
            full,
            instances: ids.iter().map(|id| v1::Instance { id: (*id).into(), ..Default::default() }).collect(),
            removed_ids: removed.iter().map(|id| (*id).into()).collect(),
            continues,
            ..Default::default()
        }
    }

    #[test]
    fn a_full_snapshot_replaces_all_and_changes_add_and_remove() {
        let mut ui = Ui::plain();
        ui.quiet = true;
        let mut screen = Screen { complete: true, ..Screen::default() };
        let ids = |screen: &Screen| screen.instances.keys().cloned().collect::<Vec<_>>().join(" ");
        for (message, expected) in [
            (snapshot(true, &["a", "b"], &[], true), "a b"),
            (snapshot(true, &["c"], &[], false), "a b c"),
            (snapshot(false, &["d", "b"], &["a"], false), "b c d"),
            (snapshot(true, &["e"], &[], true), "e"),
            (snapshot(true, &["f"], &[], false), "e f"),
        ] {
            screen.take(message, &ui).expect("it is drawn");
            assert_eq!(ids(&screen), expected);
        }
    }
}
