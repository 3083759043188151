//! From what users type after `--id` to the whole ID: a name, a unique prefix or suffix, or the ID itself.

use claude_comms_client::v1;
use claude_comms_descriptors::is_name;
use uuid::Uuid;

use crate::{
    context::Context,
    exit::{Exit, Failure},
    output::printable,
    suggest::command,
};

/// Shorter pieces would match by accident.
const SHORTEST: usize = 4;
/// So many matches are asked for and listed.
const MATCHES: i32 = 10;

/// One thing that matches.
struct Match {
    id: String,
    about: String,
}

/// The ID of the conversation that `text` names.
pub(crate) async fn conversation(context: &mut Context<'_>, text: &str) -> Result<String, Failure> {
    let id_match = match piece("conversation", text)? {
        Piece::Whole(id) => return Ok(id),
        Piece::Part(part) => part,
    };
    let request = v1::ListConversationsRequest { page_size: MATCHES, id_match, ..Default::default() };
    let found = context.patience.wait(context.client.list_conversations(request)).await?;
    one(
        "conversation",
        text,
        found.conversations.into_iter().map(|c| Match { id: c.id, about: c.title }).collect(),
    )
}

/// The ID of the turn that `text` names.
pub(crate) async fn turn(context: &mut Context<'_>, text: &str) -> Result<String, Failure> {
    let id_match = match piece("turn", text)? {
        Piece::Whole(id) => return Ok(id),
        Piece::Part(part) => part,
    };
    let request = v1::ListTurnsRequest { page_size: MATCHES, id_match, ..Default::default() };
    let found = context.patience.wait(context.client.list_turns(request)).await?;
    one("turn", text, found.turns.into_iter().map(|t| Match { id: t.id, about: t.prompt }).collect())
}

/// The ID of the instance that `text` names. A name is that of the one that is not stopped, else it must be unique.
pub(crate) async fn instance(context: &mut Context<'_>, text: &str) -> Result<String, Failure> {
    if let Some(id) = whole(text) {
        return Ok(id);
    }
    let request = v1::ListInstancesRequest {
        page_size: MATCHES,
        include_stopped: true,
        id_match: text.to_owned(),
        ..Default::default()
    };
    let name = is_name(text);
    if !name && text.len() < SHORTEST {
        return Err(too_short("instance", text));
    }
    if !name && !is_part(text) {
        return Err(none("instance", text));
    }
    let found = context.patience.wait(context.client.list_instances(request)).await?;
    let stopped = |instance: &v1::Instance| instance.state() == v1::InstanceState::Stopped;
    if let Some(live) = found.instances.iter().find(|i| i.name == text && !stopped(i)) {
        return Ok(live.id.clone());
    }
    one("instance", text, found.instances.into_iter().map(|i| Match { id: i.id, about: i.name }).collect())
}

enum Piece {
    Whole(String),
    Part(String),
}

fn piece(kind: &str, text: &str) -> Result<Piece, Failure> {
    if let Some(id) = whole(text) {
        return Ok(Piece::Whole(id));
    }
    if text.len() < SHORTEST {
        return Err(too_short(kind, text));
    }
    if is_part(text) { Ok(Piece::Part(text.to_ascii_lowercase())) } else { Err(none(kind, text)) }
}

fn whole(text: &str) -> Option<String> {
    // Only the hyphenated form: 32 digits without hyphens is no way the server prints an ID.
    let id = Uuid::try_parse(text).ok()?.hyphenated().to_string();
    id.eq_ignore_ascii_case(text).then_some(id)
}

fn is_part(text: &str) -> bool {
    text.len() <= 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn one(kind: &str, text: &str, mut matches: Vec<Match>) -> Result<String, Failure> {
    match matches.len() {
        0 => Err(none(kind, text)),
        1 => Ok(matches.swap_remove(0).id),
        _ => {
            let mut failure =
                Failure::new(Exit::Usage, format!("`{}` fits more than one {kind}", printable(text)))
                    .hint("give more characters of the ID");
            failure.lines = matches
                .iter()
                .map(|m| {
                    let about: String = m.about.split_whitespace().collect::<Vec<_>>().join(" ");
                    format!("{}  {}", m.id, about.chars().take(50).collect::<String>()).trim_end().to_owned()
                })
                .collect();
            Err(failure)
        }
    }
}

fn none(kind: &str, text: &str) -> Failure {
    let also = if kind == "instance" { " --all" } else { "" };
    Failure::new(Exit::NotFound, format!("no {kind} fits `{}`", printable(text)))
        .hint(format!("see what there is: {}", command(&format!("list-{kind}s{also}"))))
}

fn too_short(kind: &str, text: &str) -> Failure {
    let article = if kind == "instance" { "an" } else { "a" };
    let message = if text.is_empty() {
        format!("the ID of the {kind} is empty")
    } else {
        format!("`{}` is too short for the ID of {article} {kind}", printable(text))
    };
    Failure::new(Exit::Usage, message)
        .hint(format!("give at least {SHORTEST} characters of its start or end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019ab000-0000-7000-8000-00000000abcd";

    #[test]
    fn a_whole_id_needs_no_lookup() {
        assert!(matches!(piece("turn", &ID.to_uppercase()), Ok(Piece::Whole(id)) if id == ID));
        assert!(matches!(piece("turn", "0000ABCD"), Ok(Piece::Part(part)) if part == "0000abcd"));
    }

    #[test]
    fn what_cannot_be_an_id_is_not_found_and_what_is_too_short_is_usage() {
        for (text, exit) in [("", Exit::Usage), ("abc", Exit::Usage), ("nonsense", Exit::NotFound)] {
            let Err(failure) = piece("turn", text) else { panic!("{text} was taken") };
            assert_eq!(failure.exit, exit, "{text}");
        }
    }

    #[test]
    fn an_empty_id_is_called_empty() {
        assert_eq!(too_short("turn", "").message, "the ID of the turn is empty");
        assert_eq!(too_short("instance", "abc").message, "`abc` is too short for the ID of an instance");
    }

    #[test]
    fn an_ambiguous_piece_lists_what_it_fits() {
        let of = |id: &str| Match { id: id.into(), about: "a\nb".into() };
        assert_eq!(one("turn", "0000", vec![of(ID)]).expect("one"), ID);
        let failure = one("turn", "0000", vec![of("1"), of("2")]).expect_err("two");
        assert_eq!(
            (failure.exit, failure.lines),
            (Exit::Usage, vec!["1  a b".to_owned(), "2  a b".to_owned()])
        );
        assert_eq!(one("turn", "0000", vec![]).expect_err("none").exit, Exit::NotFound);
    }
}
