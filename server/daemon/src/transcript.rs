//! What a session's file holds, as far as the server acts on it. It must not know where files are kept.

use std::path::Path;

use claude_comms_model::Conversation;
use claude_comms_stream_json::transcript::{Fate, fate};
use uuid::Uuid;

/// Whether the file of a session that was cut holds what Claude remembers of the conversation. A fork begins without a
/// file and writes late what it took over: a process that is killed before leaves one that holds next to nothing. A session
/// that was told the conversation anew never holds the last answer: it does once one of the messages `sent` is answered.
pub(crate) fn holds_memory(file: &Path, conversation: &Conversation, sent: &[Uuid]) -> bool {
    let Some(last_answer) = &conversation.last_assistant_uuid else { return true };
    std::fs::read(file).is_ok_and(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        text.contains(last_answer.as_str())
            || sent.iter().any(|sent| matches!(fate(text.lines(), *sent), Fate::Answered(_)))
    })
}

/// What the file says of a user message. A file that cannot be read holds nothing.
pub(crate) fn fate_of(file: &Path, user_uuid: Uuid) -> Fate {
    let bytes = std::fs::read(file).unwrap_or_default();
    fate(String::from_utf8_lossy(&bytes).lines(), user_uuid)
}

/// Whether the file holds one of these user messages.
pub(crate) fn holds_any(file: &Path, user_uuids: &[Uuid]) -> bool {
    let Ok(bytes) = std::fs::read(file) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    user_uuids.iter().any(|user_uuid| fate(text.lines(), *user_uuid) != Fate::Absent)
}

#[cfg(test)]
mod tests {
    use claude_comms_model::{ConversationId, Timestamp};

    use super::*;

    fn conversation(last_assistant_uuid: Option<&str>) -> Conversation {
        let now = Timestamp::from(std::time::SystemTime::UNIX_EPOCH);
        Conversation {
            last_assistant_uuid: last_assistant_uuid.map(str::to_owned),
            ..Conversation::new(ConversationId(uuid::Uuid::nil()), now)
        }
    }

    #[test]
    fn only_a_file_with_the_last_answer_holds_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.jsonl");
        assert!(holds_memory(&file, &conversation(None), &[]), "there is nothing to lose");
        assert!(!holds_memory(&file, &conversation(Some("a1")), &[]), "there is no file");
        std::fs::write(&file, "{\"type\":\"mode\"}\n{\"type\":\"queue-operation\"}\n").unwrap();
        assert!(!holds_memory(&file, &conversation(Some("a1")), &[]), "what it took over is not written yet");
        std::fs::write(&file, b"{\"type\":\"assistant\",\"uuid\":\"a1\"}\n\xff").unwrap();
        assert!(holds_memory(&file, &conversation(Some("a1")), &[]));
    }

    #[test]
    fn a_session_told_anew_holds_the_memory_once_its_message_is_answered() {
        let (folder, sent) = (tempfile::tempdir().unwrap(), Uuid::from_u128(7));
        let file = folder.path().join("session.jsonl");
        let prompt = format!(
            r#"{{"type":"user","uuid":"{sent}","parentUuid":null,"message":{{"role":"user","content":"hello"}}}}"#
        );
        std::fs::write(&file, format!("{prompt}\n")).unwrap();
        assert!(!holds_memory(&file, &conversation(Some("a1")), &[sent]), "it is not answered yet");
        let answer = format!(
            r#"{{"type":"assistant","uuid":"a2","parentUuid":"{sent}","message":{{"id":"m","role":"assistant","content":[{{"type":"text","text":"hi"}}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1}}}}}}"#
        );
        std::fs::write(&file, format!("{prompt}\n{answer}\n")).unwrap();
        assert!(holds_memory(&file, &conversation(Some("a1")), &[sent]));
        assert!(!holds_memory(&file, &conversation(Some("a1")), &[]), "nor for a turn it is not of");
    }
}
