//! Messages of the contract as proto3 JSON and as YAML. Unset scalars and empty lists are printed.

use claude_comms_client::v1;
use claude_comms_proto::descriptor_pool;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};

use crate::{
    args::Format,
    exit::{Exit, Failure},
};

/// A message with its name in the contract.
pub(crate) trait Resource: prost::Message {
    /// Name without the package.
    const NAME: &'static str;
}

macro_rules! resources {
    ($($name:ident),* $(,)?) => {
        $(impl Resource for v1::$name { const NAME: &'static str = stringify!($name); })*
    };
}

resources!(
    ContextPreview,
    Conversation,
    ConversationEvent,
    CreateTokenResponse,
    DiagnosticResult,
    DiscoverModulesResponse,
    Instance,
    InstanceEvent,
    ListConversationsResponse,
    ListInstancesResponse,
    ListModulesResponse,
    ListTokensResponse,
    ListTurnsResponse,
    Module,
    PoolSnapshot,
    ServerInfo,
    Statistics,
    Token,
    Turn,
    TurnEvent,
);

/// A message in its proto3 JSON form, fields in the contract's order.
pub(super) struct Json(DynamicMessage);

impl Json {
    pub(super) fn of<T: Resource>(message: &T) -> Self {
        let descriptor = descriptor_pool()
            .get_message_by_name(&format!("claude_comms.v1.{}", T::NAME))
            .expect("the contract has every message that is printed");
        let bytes = message.encode_to_vec();
        Self(
            DynamicMessage::decode(descriptor, bytes.as_slice())
                .expect("a message of the contract has the contract's shape"),
        )
    }

    /// Without a line break.
    pub(super) fn line(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| unprintable(&error))
    }

    /// For reading, with a line break at the end.
    pub(super) fn pretty(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string_pretty(self).map_err(|error| unprintable(&error))? + "\n")
    }

    /// The same value as YAML, with a line break at the end.
    pub(super) fn yaml(&self) -> Result<String, Failure> {
        yaml(self)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

/// A value of any kind, with a line break at the end; JSON where the format is not YAML.
pub(super) fn serialized(value: &impl Serialize, format: Format) -> Result<String, Failure> {
    match format {
        Format::Yaml => yaml(value),
        _ => Ok(serde_json::to_string_pretty(value).map_err(|error| unprintable(&error))? + "\n"),
    }
}

/// JSON text as YAML, with a line break at the end.
pub(super) fn yaml_of_text(text: &str) -> Result<String, Failure> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| unprintable(&error))?;
    yaml(&value)
}

fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    let text = serde_yaml::to_string(value).map_err(|error| unprintable(&error))?;
    Ok(text.trim_end_matches('\n').to_owned() + "\n")
}

fn unprintable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("print the server's answer: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn turn() -> v1::Turn {
        v1::Turn {
            id: "019aa".into(),
            state: v1::TurnState::Failed.into(),
            prompt: "a: \"b\"\n- c\n".into(),
            usage: Some(v1::Usage { output_tokens: 7, ..Default::default() }),
            create_time: Some(prost_types::Timestamp { seconds: 1_795_348_800, nanos: 500_000_000 }),
            ..Default::default()
        }
    }

    #[test]
    fn json_has_every_scalar_and_the_contracts_names() {
        insta::assert_snapshot!(Json::of(&turn()).pretty().expect("json"));
    }

    #[test]
    fn an_empty_list_is_printed() {
        let empty = Json::of(&v1::ListTurnsResponse::default()).line().expect("json");
        assert_eq!(empty, r#"{"turns":[],"nextPageToken":""}"#);
    }

    #[test]
    fn events_carry_only_what_happened() {
        let delta = v1::TextDelta { offset: 0, text: "hé\n".into() };
        let event = v1::TurnEvent {
            sequence: 3,
            turn_id: "t".into(),
            time: None,
            event: Some(v1::turn_event::Event::TextDelta(delta)),
        };
        let line = Json::of(&event).line().expect("json");
        assert_eq!(line, r#"{"sequence":"3","turnId":"t","textDelta":{"offset":"0","text":"hé\n"}}"#);
    }

    #[test]
    fn yaml_reads_back_as_the_same_value() {
        let text = Json::of(&turn()).yaml().expect("yaml");
        let back: Value = serde_yaml::from_str(&text).expect("yaml");
        let json: Value = serde_json::from_str(&Json::of(&turn()).line().expect("json")).expect("json");
        assert_eq!(back, json, "{text}");
    }
}
